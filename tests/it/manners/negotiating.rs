//! `Accept`: what can't be answered as asked is refused before anything is done.

use genesys_purge::api;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::desk;
use crate::support::problem::refused;

#[tokio::test]
async fn every_json_call_refuses_who_takes_no_json_before_it_does_anything() {
    let test = desk().await;
    let purge = test.purge(&[uuid::Uuid::from_u128(1)]).await.to_string();
    let document: Value = serde_json::from_str(&api::document_json().unwrap()).unwrap();
    let mut seen = 0;
    for (path, calls) in document["paths"].as_object().unwrap() {
        for (method, call) in calls.as_object().unwrap() {
            let is_json = call["responses"].as_object().unwrap().iter().any(|(status, answer)| {
                status.starts_with('2') && answer.pointer("/content/application~1json").is_some()
            });
            if !is_json {
                continue;
            }
            let path =
                path.replace("{id}", &purge).replace("{org}", "default").replace("{conversationId}", &purge);
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            for accept in
                ["text/html", "application/xml;q=1, application/json;q=0, application/problem+json;q=0"]
            {
                let body = json!({ "conversationIds": [uuid::Uuid::from_u128(2)], "matter": "M" });
                let request = test.request(method.clone(), &path).json(&body).header("accept", accept);
                refused(request, 406, "not_acceptable").await;
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "{seen}");
    assert_eq!(test.number("select count(*) from purges").await, 1);
    assert_eq!(test.number("select count(*) from holds").await, 0);
    assert_eq!(test.get(&format!("/purges/{purge}")).await["state"], "queued", "nothing was steered");
    assert_eq!(test.number("select count(*) from orgs where stopped_at is not null").await, 0);
}

#[tokio::test]
async fn the_key_is_looked_at_before_what_is_taken_and_usual_clients_come_through() {
    let test = desk().await;
    let request = test.client.get(format!("{}/holds", test.url)).header("accept", "text/html");
    refused(request, 401, "no_key").await;
    for accept in [
        "*/*",
        "application/*",
        "application/json, text/plain, */*",
        "application/problem+json",
        "",
        "text/html, */*;q=0.8",
    ] {
        let response = test.request(Method::GET, "/holds").header("accept", accept).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{accept:?}");
    }
    let yaml = test.client.get(format!("{}/openapi.yaml", test.url)).header("accept", "application/json");
    refused(yaml, 406, "not_acceptable").await;
}
