//! Who may read the metrics, and where.

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use reqwest::{Method, StatusCode};

use super::Page;
use crate::support::problem::refused;
use crate::support::{Setup, TestService};

#[tokio::test]
async fn they_are_for_admins_of_every_org() {
    let test = Setup::new().role(Role::Api).start().await;
    refused(test.client.get(format!("{}/metrics", test.url)), 401, "no_key").await;
    let others: Vec<Scope> = Scope::ALL.iter().copied().filter(|scope| *scope != Scope::Admin).collect();
    let ask = |key: &str| test.request_as(key, Method::GET, "/metrics");
    refused(ask(&test.make_key(&others, None).await), 403, "missing_scope").await;
    refused(ask(&test.make_key(&[Scope::Admin], Some(&["default"])).await), 403, "no_org").await;
    let answer = ask(&test.make_key(&[Scope::Admin], None).await).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn whoever_asks_for_the_text_format_gets_it() {
    let test = Setup::new().role(Role::Api).start().await;
    for accept in [
        "text/plain;version=0.0.4",
        "text/plain; version=\"0.0.4\"; charset=utf-8",
        "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "application/vnd.google.protobuf;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3",
    ] {
        let answer = test.request(Method::GET, "/metrics").header("accept", accept).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{accept}");
        Page::read(&answer.text().await.unwrap());
    }
    for accept in ["text/plain;version=1.0.0", "text/plain;version=0.0.4;q=0", "application/json"] {
        let request = test.request(Method::GET, "/metrics").header("accept", accept);
        refused(request, 406, "not_acceptable").await;
    }
}

#[tokio::test]
async fn where_they_are_open_anybody_reads_them() {
    let test = Setup::new().role(Role::Api).env("PURGE__TELEMETRY__METRICS", "open").start().await;
    for request in [
        test.client.get(format!("{}/metrics", test.url)),
        test.request_as("gpk_unknown", Method::GET, "/metrics"),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        Page::read(&answer.text().await.unwrap());
    }
    refused(test.client.get(format!("{}/holds", test.url)), 401, "no_key").await;
}

#[tokio::test]
async fn a_worker_answers_health_and_metrics_and_nothing_else() {
    let test = Setup::new().role(Role::Worker).start().await;
    for path in ["/health/live", "/health/ready"] {
        let answer = test.client.get(format!("{}{path}", test.url)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    refused(test.client.get(format!("{}/metrics", test.url)), 401, "no_key").await;
    let page = super::scrape(&test).await;
    assert_eq!(page.count("genesys_purge_database_up", &[]), 1);
    for (method, path) in [
        (Method::POST, "/purges"),
        (Method::GET, "/holds"),
        (Method::GET, "/openapi.json"),
        (Method::GET, "/docs/"),
        (Method::GET, "/orgs"),
    ] {
        refused(test.request(method, path), 404, "no_such_path").await;
    }
}

#[tokio::test]
async fn two_services_of_one_process_count_each_for_itself() {
    let (one, other) = (quiet().await, quiet().await);
    for _ in 0..3 {
        one.client.get(format!("{}/health/live", one.url)).send().await.unwrap();
    }
    let lives = [("route", "/health/live")];
    let (one, other) = (super::scrape(&one).await, super::scrape(&other).await);
    assert_eq!(one.count("genesys_purge_http_requests_total", &lives), 3);
    assert_eq!(other.count("genesys_purge_http_requests_total", &lives), 0);
}

async fn quiet() -> TestService {
    let test = Setup::new().role(Role::Api).start().await;
    // So that there is something to read.
    test.client.get(format!("{}/health/ready", test.url)).send().await.unwrap();
    test
}
