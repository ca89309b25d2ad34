//! Requests are found in the logs, by their own id and by that of the trace that they are part of.

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::json;

use super::home::Home;

#[tokio::test]
async fn a_request_is_found_in_the_logs_by_its_id_and_its_trace() {
    let mut home = Home::with_jobs_of(50).await;
    home.set("RUST_LOG", "info,genesys_purge::api=debug");
    let serving = home.serve().await;
    let key = home.key().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = serving.request(&key, Method::GET, "/purges").header("x-request-id", "nightly-17");
    let request = request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "nightly-17");
    assert_eq!(response.headers().get("traceparent"), None);

    let line = serving.logged(|line| line["span"]["request_id"] == "nightly-17").await;
    assert_eq!((&line["span"]["trace_id"], &line["status"]), (&json!(trace), &json!(200)), "{line}");
    assert_eq!(line["span"]["parent_id"], "00f067aa0ba902b7", "{line}");
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));
    home.until_no_database_runs().await;
}
