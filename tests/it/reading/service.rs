//! Health, and the id that every request carries.

use genesys_purge::app::Role;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::{Executor as _, Row as _};

use crate::support::Setup;
use crate::support::problem::refused;

#[tokio::test]
async fn a_service_with_its_schema_lives_and_is_ready() {
    let test = Setup::new().role(Role::Api).start().await;
    for path in ["/health/live", "/health/ready"] {
        let response = test.client.get(format!("{}{path}", test.url)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.json::<serde_json::Value>().await.unwrap(), json!({ "status": "ok" }));
    }
}

#[tokio::test]
async fn without_its_schema_a_service_lives_and_is_not_ready() {
    let test = Setup::new().role(Role::Api).start().await;
    let ready = || test.client.get(format!("{}/health/ready", test.url));
    let mut connection = test.database.connect().await;
    connection.execute("update _sqlx_migrations set success = false").await.unwrap();
    let problem = refused(ready(), 503, "not_ready").await;
    assert!(problem["detail"].as_str().unwrap().contains("migrate"), "it says what to do: {problem}");
    connection.execute("drop table _sqlx_migrations").await.unwrap();
    refused(ready(), 503, "not_ready").await;
    let live = test.client.get(format!("{}/health/live", test.url)).send().await.unwrap();
    assert_eq!(live.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_keeps_its_id_in_answers_problems_and_events() {
    let test = Setup::new().role(Role::Api).start().await;
    let purge = || test.request(Method::POST, "/purges");
    let body = json!({ "conversationIds": ["1b4e28ba-2fa1-4d2b-883f-0016d3cca427"] });
    let response = purge().header("X-Request-Id", "case-7/a").json(&body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()["x-request-id"], "case-7/a");
    let mut connection = test.database.connect().await;
    let events = connection.fetch_all("select request_id, actor from events").await.unwrap();
    assert!(!events.is_empty());
    for event in events {
        assert_eq!((event.get(0), event.get(1)), ("case-7/a", "tester"));
    }
    let problem =
        refused(purge().header("X-Request-Id", "case-8").json(&json!({})), 422, "invalid_request").await;
    assert_eq!(problem["requestId"], "case-8");
}

#[tokio::test]
async fn an_id_that_is_not_fit_for_logs_is_replaced_by_one_that_is() {
    let test = Setup::new().role(Role::Api).start().await;
    let long = "x".repeat(129);
    let just = "y".repeat(128);
    for (sent, is_kept) in [("", false), ("two words", false), (&long, false), (&just, true), ("ü", false)] {
        let request = test.request(Method::GET, "/holds").header("X-Request-Id", sent);
        let response = request.send().await.unwrap();
        let told = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(told == sent, is_kept, "{sent:?} became {told:?}");
        assert!(is_kept || told.parse::<uuid::Uuid>().is_ok(), "{told}");
    }
}
