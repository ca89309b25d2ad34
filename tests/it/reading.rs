//! Reading: purges, their conversations, jobs, events and reports, the history of a conversation, orgs, health.

mod cursors;
mod events;
mod history;
mod job;
mod jobs;
mod lists;
mod org_state;
mod orgs;
mod pages;
mod progress;
mod report;
mod service;
mod streams;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use genesys_purge::sandbox::Shares;
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::support::problem::refused;
use crate::support::{Setup, TestService};

/// The names that the contract gives to the counts.
const OUTCOMES: [&str; 12] = [
    "pending",
    "eligible",
    "submitted",
    "purged",
    "already_purged",
    "on_hold",
    "retained",
    "not_found",
    "active",
    "failed",
    "canceled",
    "would_purge",
];

/// Every kind of conversation, in the order of the population.
async fn mixed() -> (TestService, Vec<Uuid>) {
    let shares = Shares {
        eligible: 0.4,
        held: 0.1,
        young: 0.1,
        active: 0.1,
        deleted: 0.1,
        unknown: 0.1,
        conflict_named: 0.05,
        ..Shares::none()
    };
    let test = Setup::new().sandbox(|organization| organization.shares = shares).start().await;
    let ids = test.sandbox.sandbox().ids().collect();
    (test, ids)
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Reads a list page by page.
async fn all(test: &TestService, path: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = test.get(&format!("{path}{cursor}")).await;
        assert_eq!(keys(&page), ["items", "nextCursor"]);
        pages.push(page["items"].as_array().unwrap().clone());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn counts_are_exact_and_sum_to_the_total() {
    let (test, ids) = mixed().await;
    let purge = test.purge(&ids).await;
    let body = test.finished(purge).await;
    let mut expected: BTreeMap<&str, i64> = OUTCOMES.iter().map(|outcome| (*outcome, 0)).collect();
    for id in &ids {
        *expected.get_mut(test.sandbox.sandbox().expected_outcome(*id).unwrap().name()).unwrap() += 1;
    }
    assert!(expected.values().filter(|number| **number > 0).count() >= 6, "{expected:?}");
    let mut counts: BTreeMap<String, i64> = serde_json::from_value(body["counts"].clone()).unwrap();
    assert_eq!(counts.remove("total"), Some(100));
    assert_eq!(counts.remove("duplicates"), Some(0));
    assert_eq!(counts.values().sum::<i64>(), 100);
    assert_eq!(
        counts.iter().map(|(name, number)| (name.as_str(), *number)).collect::<BTreeMap<_, _>>(),
        expected
    );
    assert_eq!(body["state"], "completed");
    test.assert_no_breach();
}

#[tokio::test]
async fn a_purge_has_the_fields_of_the_contract() {
    let (test, ids) = mixed().await;
    let purge = test.purge(&ids[..20]).await;
    let body = test.finished(purge).await;
    let fields = [
        "acts",
        "blockedReason",
        "counts",
        "createdAt",
        "dryRun",
        "finishedAt",
        "id",
        "labels",
        "org",
        "parked",
        "pausedReason",
        "progress",
        "reason",
        "reference",
        "requestedBy",
        "run",
        "startedAt",
        "state",
        "webhookEndpointId",
    ];
    assert_eq!(keys(&body), fields);
    assert_eq!(keys(&body["progress"]), ["estimatedFinishAt", "perMinute"]);
    assert!(body["progress"]["perMinute"].as_f64().unwrap() > 0.0);
    assert_eq!(body["progress"]["estimatedFinishAt"], Value::Null, "it has finished");
    assert_eq!(body["blockedReason"], Value::Null);
    let at = |field: &str| body[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(at("createdAt") <= at("startedAt") && at("startedAt") <= at("finishedAt"), "{body}");
    assert!(body["createdAt"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn a_wait_ends_when_the_purge_is_final_and_no_sooner() {
    let setup = Setup::new().sandbox(|organization| organization.job_duration.base_ms = 1500);
    let test = setup.start().await;
    let purge = test.purge(&test.sandbox.sandbox().ids().take(2).collect::<Vec<_>>()).await;
    let began = Instant::now();
    let body = test.get(&format!("/purges/{purge}?wait=60")).await;
    assert_eq!(body["state"], "completed", "{body}");
    let took = began.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(50)).contains(&took), "{took:?}");
    let began = Instant::now();
    assert_eq!(test.get(&format!("/purges/{purge}?wait=60")).await["state"], "completed");
    assert!(began.elapsed() < Duration::from_secs(10), "what is final is answered at once");
}

#[tokio::test]
async fn a_wait_that_sees_no_end_is_answered_when_it_is_over() {
    // The limit on requests is shorter than the wait: it must not cut it.
    let setup = Setup::new().env("PURGE__ENGINE__PAUSED", "true").env("PURGE__SERVER__REQUEST_TIMEOUT", "1s");
    let test = setup.start().await;
    let purge = test.purge(&[Uuid::from_u128(7)]).await;
    let began = Instant::now();
    let body = test.get(&format!("/purges/{purge}?wait=2")).await;
    assert_eq!(body["state"], "queued");
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_eq!(test.get(&format!("/purges/{purge}?wait=0")).await["counts"]["pending"], 1);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_refused_like_any_other() {
    let test = Setup::new().env("PURGE__SERVER__REQUEST_TIMEOUT", "1s").start().await;
    let mut connection = test.database.connect().await;
    sqlx::Executor::execute(&mut connection, "begin; lock table holds").await.unwrap();
    refused(test.request(Method::GET, "/holds"), 503, "timed_out").await;
    sqlx::Executor::execute(&mut connection, "rollback").await.unwrap();
    assert_eq!(test.get("/holds").await["items"], serde_json::json!([]));
}
