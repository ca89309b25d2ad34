//! A connection to the database that swallows all data: nothing waits for ever, and everything continues when it works
//! again.

use std::time::Duration;

use genesys_purge::app::Role;
use genesys_purge::sandbox::{Call, Kind};
use genesys_purge::store::{Deadlines, Limits};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::time::timeout;

use crate::support::problem::refused;
use crate::support::proxy::Way;
use crate::support::{Setup, TestService};

/// So long that only a real failure takes longer.
const LONG: Duration = Duration::from_secs(20);

/// The waits of production, a tenth as long.
fn quick(deadlines: &mut Deadlines) {
    let tenth =
        |limits: Limits| Limits { connection: limits.connection / 10, statement: limits.statement / 10 };
    *deadlines = Deadlines {
        requests: tenth(deadlines.requests),
        engine: tenth(deadlines.engine),
        begin: deadlines.begin / 10,
        ping: deadlines.ping / 10,
        ready: deadlines.ready / 10,
        heartbeat: deadlines.heartbeat / 10,
        close: deadlines.close / 10,
        ..*deadlines
    };
}

fn setup() -> Setup {
    Setup::new().behind_proxy().deadlines(quick).env("PURGE__ENGINE__SHUTDOWN_GRACE", "500ms")
}

async fn is_ready(test: &TestService) -> bool {
    test.request(Method::GET, "/health/ready").send().await.unwrap().status() == StatusCode::OK
}

#[tokio::test]
async fn requests_are_told_that_it_is_away_and_readiness_says_so() {
    let test = setup().role(Role::Api).start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..1]).await;
    assert!(is_ready(&test).await);
    test.proxy().set(Way::Silent);
    let path = format!("/purges/{purge}");
    for path in [path.as_str(), "/purges", "/holds", "/orgs/default"] {
        let request = refused(test.request(Method::GET, path), 503, "unavailable");
        timeout(LONG, request).await.expect("a request waits for a silent database");
    }
    let body = json!({ "conversationIds": test.ids_of(Kind::Eligible)[..1] });
    let request = refused(test.request(Method::POST, "/purges").json(&body), 503, "unavailable");
    timeout(LONG, request).await.expect("an accept waits for a silent database");
    let ready = refused(test.request(Method::GET, "/health/ready"), 503, "not_ready");
    timeout(LONG, ready).await.expect("readiness waits for a silent database");
    assert_eq!(test.request(Method::GET, "/health/live").send().await.unwrap().status(), StatusCode::OK);

    test.proxy().set(Way::Open);
    test.wait_until("it is ready again", async || is_ready(&test).await).await;
    assert_eq!(test.get(&path).await["state"], "queued");
    test.end().await;
}

#[tokio::test]
async fn readiness_is_told_within_its_own_time_whatever_a_statement_may_take() {
    let patient = |deadlines: &mut Deadlines| {
        *deadlines = Deadlines { ready: Duration::from_millis(300), ..Deadlines::default() };
    };
    let test = Setup::new().role(Role::Api).behind_proxy().deadlines(patient).start().await;
    assert!(is_ready(&test).await);
    test.proxy().set(Way::Silent);
    let ready = refused(test.request(Method::GET, "/health/ready"), 503, "not_ready");
    timeout(Duration::from_secs(2), ready).await.expect("it waits as long as a statement may take");
    test.proxy().set(Way::Cut);
    test.end().await;
}

#[tokio::test]
async fn a_purge_that_runs_ends_when_new_connections_come_through() {
    let test = setup().sandbox(|organization| organization.job_duration.base_ms = 300).start().await;
    let ids = test.ids_of(Kind::Eligible);
    let purge = test.purge(&ids).await;
    test.wait_until("a submit", async || test.calls(Call::Submit, "200") > 0).await;
    // The connections that there are stay silent for ever.
    test.proxy().set(Way::Silent);
    refused(test.request(Method::GET, "/purges"), 503, "unavailable").await;
    test.proxy().set(Way::Open);
    test.wait_until("it is ready again", async || is_ready(&test).await).await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    test.assert_purged_once(&ids);
    test.end().await;
}

#[tokio::test]
async fn word_of_work_is_heard_again_after_the_connection_that_hears_it_went_silent() {
    let test = setup().start().await;
    let ears = "select count(*) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid() and (query like 'LISTEN%' or query like '%heartbeat%')";
    test.wait_until("it listens", async || test.number(ears).await == 1).await;
    test.proxy().set(Way::Silent);
    test.proxy().set(Way::Open);
    test.wait_until("it listens anew", async || test.number(ears).await == 2).await;
    test.proxy().set(Way::Cut);
    test.end().await;
}

#[tokio::test]
async fn a_stop_ends_though_nothing_answers() {
    let mut test = setup().sandbox(|organization| organization.job_duration.base_ms = 60_000).start().await;
    test.purge(&test.ids_of(Kind::Eligible)).await;
    test.wait_until("a submit", async || test.calls(Call::Submit, "200") > 0).await;
    test.proxy().set(Way::Silent);
    timeout(LONG, test.stop_service()).await.expect("a stop waits for a silent database");
}
