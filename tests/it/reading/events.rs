//! The history of a purge.

use genesys_purge::sandbox::Kind;
use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{all, keys};
use crate::support::problem::refused;
use crate::support::{Setup, TestService};

#[tokio::test]
async fn the_history_of_a_whole_purge_is_told_in_order() {
    let test = Setup::new().env("PURGE__ORGS__DEFAULT__MAX_BATCH", "2").start().await;
    let body = json!({ "conversationIds": &test.ids_of(Kind::Eligible)[..6] });
    let request = test.request(Method::POST, "/purges").header("X-Request-Id", "case-7").json(&body);
    let purge: Value = request.send().await.unwrap().json().await.unwrap();
    let purge: Uuid = purge["id"].as_str().unwrap().parse().unwrap();
    let last = test.finished(purge).await;

    let whole = all(&test, &format!("/purges/{purge}/events?limit=1000")).await.concat();
    for limit in [1, 2, 3, 5] {
        let pages = all(&test, &format!("/purges/{purge}/events?limit={limit}")).await;
        assert!(pages.iter().all(|page| page.len() <= limit));
        assert_eq!(pages.concat(), whole, "limit {limit}");
    }
    for (number, event) in (1..).zip(&whole) {
        let fields = ["actor", "at", "eventNo", "id", "jobId", "ourJobId", "payload", "requestId", "type"];
        assert_eq!(keys(event), fields);
        assert_eq!(event["eventNo"], number, "without gaps");
        assert!(event["id"].as_str().unwrap().parse::<Uuid>().is_ok());
    }
    let times: Vec<jiff::Timestamp> =
        whole.iter().map(|event| event["at"].as_str().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted());
    let types: Vec<&str> = whole.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let (ends, middle) = ([types[0], types[1], types[types.len() - 1]], &types[2..types.len() - 1]);
    assert_eq!(ends, ["purge_accepted", "purge_started", "purge_completed"]);
    assert!(middle.iter().all(|word| *word == "purge_job_completed"), "{types:?}");

    let accepted = &whole[0];
    assert_eq!((&accepted["actor"], &accepted["requestId"]), (&json!("tester"), &json!("case-7")));
    assert_eq!(accepted["payload"], json!({ "total": 6, "duplicates": 0, "dryRun": false }));
    assert_eq!((&accepted["jobId"], &accepted["ourJobId"]), (&Value::Null, &Value::Null));
    assert_eq!((&whole[1]["actor"], &whole[1]["requestId"]), (&json!("engine"), &Value::Null));
    let ended = &whole[whole.len() - 1];
    assert_eq!(ended["payload"]["counts"], last["counts"]);
    let mut jobs: Vec<(String, String)> = Vec::new();
    for event in &whole[2..whole.len() - 1] {
        let text = |field: &str| event[field].as_str().unwrap().to_owned();
        jobs.push((text("ourJobId"), text("jobId")));
    }
    jobs.sort();
    let listed: Vec<(String, String)> = test
        .jobs(purge)
        .await
        .iter()
        .map(|job| (job["id"].as_str().unwrap().to_owned(), job["jobId"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(jobs, listed, "each job is told of once, with both its ids");
}

#[tokio::test]
async fn json_is_given_to_whoever_takes_it_and_a_stream_to_who_takes_that_alone() {
    let test = TestService::start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..1]).await;
    let ask = |accept: &str| {
        test.request(Method::GET, &format!("/purges/{purge}/events")).header(ACCEPT, accept.to_owned())
    };
    for accept in ["text/event-stream", "text/event-stream;q=0.5, application/json;q=0", "text/*"] {
        let response = ask(accept).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{accept}");
        assert_eq!(response.headers()["content-type"], "text/event-stream", "{accept}");
        assert_eq!(response.headers()["vary"], "Accept");
    }
    for accept in ["text/csv", "application/json;q=0"] {
        refused(ask(accept), 406, "not_acceptable").await;
    }
    for accept in
        ["application/json", "*/*", "application/*", "text/event-stream;q=0.1, application/json", ""]
    {
        let response = ask(accept).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{accept}");
        assert_eq!(response.headers()["content-type"], "application/json", "{accept}");
        assert_eq!(response.headers()["vary"], "Accept");
    }
}
