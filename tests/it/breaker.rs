//! An upstream that is down: calls stop, one probe at a time is let through for all processes, and waiting purges say
//! why.

use std::time::{Duration, Instant};

use genesys_purge::app::org_terms;
use genesys_purge::sandbox::{Call, Kind};
use genesys_purge::store::orgs::limiter;
use serde_json::{Value, json};

use crate::support::books::assert_books;
use crate::support::{Setup, TestService};

fn is_failing(body: &Value) -> bool {
    body["blockedReason"]["code"] == "upstream_failing"
}

/// All calls that upstream met.
fn met(test: &TestService) -> usize {
    [Call::Details, Call::Submit, Call::Poll].map(|call| test.log(call).len()).iter().sum()
}

#[tokio::test]
async fn calls_without_an_answer_stop_for_all_processes_and_go_on_when_a_probe_is_answered() {
    let test = Setup::new().env("PURGE__ORGS__DEFAULT__DETAILS_BATCH", "2").start().await;
    for call in ["details", "submit", "poll"] {
        test.fault(json!({ "call": call, "fault": { "status": 503 } }));
    }
    let ids = &test.ids_of(Kind::Eligible)[..40];
    let mut purges = Vec::new();
    for ids in ids.chunks(2) {
        purges.push(test.purge(ids).await);
    }
    let body = test.purge_when(purges[0], is_failing).await;
    let detail = body["blockedReason"]["detail"].as_str().unwrap();
    assert!(detail.contains("503"), "{detail}");
    let org = &test.get("/orgs/default").await["blocked"];
    assert_eq!((&org["code"], &org["call"]), (&json!("upstream_failing"), &json!("details")), "{org}");
    // The eleventh and those that had left by then.
    let at_first = met(&test);
    assert!(at_first <= 10 + 32, "{at_first} calls");

    // Far from the next probe nobody gets a permit, whatever process he is in.
    test.sql("update limiters set broken_until = clock_timestamp() + interval '40 s', failures = 15").await;
    let (store, terms) = (test.store().await, org_terms("default", &test.settings.orgs["default"]));
    for call in [limiter::Call::Details, limiter::Call::Submit, limiter::Call::Poll] {
        let wait = store.take_permit(&terms, call).await.unwrap().unwrap_err();
        assert!(wait > Duration::from_secs(20), "{wait:?}");
    }
    test.wait_until("what had left before is back", async || {
        test.number("select count(*) from slices where state = 'validating'").await == 0
    })
    .await;
    for _ in 0..3 {
        let before = met(&test);
        let failures = test.number("select failures::bigint from limiters where org = 'default'").await;
        test.probe_now().await;
        test.wait_until("a probe has failed", async || {
            test.number("select failures::bigint from limiters where org = 'default'").await > failures
        })
        .await;
        assert_eq!(met(&test), before + 1, "one probe");
    }

    test.sandbox.sandbox().clear_faults();
    test.probe_now().await;
    for purge in purges {
        let body = test.finished(purge).await;
        assert_eq!((&body["state"], &body["blockedReason"]), (&json!("completed"), &Value::Null), "{body}");
    }
    let closed =
        "select count(*) from limiters where org = 'default' and failures = 0 and broken_until is null";
    assert_eq!(test.number(closed).await, 1);
    test.assert_purged_once(ids);
    assert_books(&test).await;
}

#[tokio::test]
async fn an_upstream_that_refuses_connections_is_found_by_itself_when_it_is_back() {
    let mut test = Setup::new().start().await;
    let port = test.close_upstream().await;
    let mut purges = Vec::new();
    for ids in test.ids_of(Kind::Eligible)[..24].chunks(2) {
        purges.push(test.purge(ids).await);
    }
    test.purge_when(purges[0], |body| !body["blockedReason"].is_null()).await;
    test.open_upstream(port).await;
    for purge in purges {
        assert_eq!(test.finished(purge).await["state"], "completed");
    }
}

#[tokio::test]
async fn other_credentials_are_tried_at_once_after_a_start() {
    let mut test = Setup::new().start().await;
    test.fault(json!({ "call": "token", "fault": { "status": 401 } }));
    let ids = &test.ids_of(Kind::Eligible)[..2];
    let purge = test.purge(ids).await;
    test.purge_when(purge, |body| body["blockedReason"]["code"] == "forbidden").await;
    test.wait_until("the next try is far away", async || {
        let ahead = "select count(*) from orgs, slices where probe_at > clock_timestamp() + interval '30 s'";
        test.number(ahead).await > 0
    })
    .await;

    test.stop_service().await;
    test.sandbox.sandbox().clear_faults();
    let started = Instant::now();
    test.start_service().await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["blockedReason"]), (&json!("completed"), &Value::Null), "{body}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    test.assert_purged_once(ids);
}
