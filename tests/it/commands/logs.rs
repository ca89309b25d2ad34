//! The logs: each request has its id and trace, each end of a purge is logged once, and levels are right.

use genesys_purge::sandbox::{Kind, Shares};
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};

use super::home::Home;
use crate::support::Setup;
use crate::support::process::Serving;
use crate::support::receiver::Answer;

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

#[tokio::test]
async fn the_end_of_a_purge_is_logged_once_by_all_replicas_together() {
    let mut test = Setup::new().start().await;
    test.stop_service().await;
    let replicas = [Serving::start(test.serve(&[])).await, Serving::start(test.serve(&[])).await];
    test.url.clone_from(&replicas[0].url);
    let (ids, unknown) = (test.ids_of(Kind::Eligible), uuid::Uuid::from_u128(7));
    let mut purges = Vec::new();
    for part in ids[..40].chunks(10) {
        purges.push(test.purge(&[part, &[unknown]].concat()).await);
    }
    for purge in &purges {
        assert_eq!(test.finished(*purge).await["state"], "completed");
    }
    let mut ends: Vec<Value> = Vec::new();
    for replica in &replicas {
        replica.send(Signal::SIGTERM);
        replica.logged(|line| line["message"] == "stopped").await;
        ends.extend(replica.log().into_iter().filter(|line| line["message"] == "purge ended"));
    }
    assert_eq!(ends.len(), purges.len(), "{ends:#?}");
    for purge in purges {
        let end = ends.iter().find(|line| line["purge"] == json!(purge)).unwrap();
        assert_eq!(
            (&end["level"], &end["state"], &end["total"]),
            (&json!("INFO"), &json!("completed"), &json!(11))
        );
        assert_eq!(end["counts"], "10 purged, 1 not_found");
        assert!(end["seconds"].as_f64().unwrap() > 0.0 && end.get("run").is_none(), "{end}");
    }
}

#[tokio::test]
async fn conflicts_are_routine_and_a_dead_webhook_names_what_it_told_of() {
    let shares = Shares { eligible: 0.5, conflict_named: 0.5, ..Shares::none() };
    let setup = Setup::new().sandbox(|sandbox| sandbox.shares = shares);
    let mut test = setup.env("PURGE__WEBHOOKS__RETRY_SCHEDULE", "10ms").start().await;
    test.stop_service().await;
    test.receiver.answer_next(&[Answer::Status(500); 4]);
    let serving = Serving::start(test.serve(&[])).await;
    test.url.clone_from(&serving.url);
    let (good, bad) = (test.ids_of(Kind::Eligible), test.ids_of(Kind::ConflictNamed));
    let purge = test.purge(&[&good[..3], &bad[..2]].concat()).await;
    assert_eq!(test.finished(purge).await["counts"]["on_hold"], 2);

    let dead = |event: &'static str| move |line: &Value| line["level"] == "ERROR" && line["event"] == event;
    let job = serving.logged(dead("purge_job_completed")).await;
    let end = serving.logged(dead("purge_completed")).await;
    for line in [&job, &end] {
        assert_eq!((&line["purge"], &line["endpoint"]), (&json!(purge), &json!("retention")), "{line}");
        assert!(line["delivery"].is_string() && line["error"].as_str().unwrap().contains("500"), "{line}");
    }
    let conflict = |line: &Value| line["protected"] == 2;
    assert_eq!(serving.logged(conflict).await["level"], "INFO");
    let loud = |line: &&Value| line["level"] == "WARN" && line.get("job").is_some();
    assert_eq!(serving.log().iter().filter(loud).count(), 0, "{:#?}", serving.log());
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));
}
