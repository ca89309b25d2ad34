//! Whose retention rules are in force: those of workers, and never looser ones by themselves.

use genesys_purge::app::Role;
use genesys_purge::sandbox::Kind;
use genesys_purge::store::orgs::enroll::Enroller;
use serde_json::json;

use crate::support::trouble::endings;
use crate::support::{Setup, TestService};

/// The same organization for all: several services may work on one database.
fn stricter() -> Setup {
    Setup::new().sandbox(|org| org.shares.young = 0.2)
}

fn looser() -> Setup {
    stricter().env("PURGE__RETENTION__DEFAULT_DAYS", "0")
}

/// What becomes of a young conversation by the rules in force.
async fn judged(test: &TestService) -> std::collections::BTreeMap<String, usize> {
    let young = test.ids_of(Kind::Young)[0];
    let purge = test.purge_with(json!({ "conversationIds": [young], "dryRun": true })).await;
    test.endings_when_final(purge).await
}

#[tokio::test]
async fn a_process_that_only_takes_requests_changes_no_rules() {
    let worker = stricter().start().await;
    let api = looser().role(Role::Api).database(worker.database.clone()).start().await;
    assert_eq!(judged(&worker).await, endings([("retained retention_period", 1)]));
    drop(api);
}

#[tokio::test]
async fn a_worker_with_looser_rules_works_by_the_stricter_ones_until_an_operator_adopts_its_own() {
    let strict = stricter().role(Role::Worker).start().await;
    let loose = looser().database(strict.database.clone()).start().await;
    assert_eq!(judged(&loose).await, endings([("retained retention_period", 1)]));
    let changes = "select count(*) from events where type = 'retention_changed'";
    assert_eq!(loose.number(changes).await, 0);

    let store = loose.store().await;
    let configured = genesys_purge::app::policy(&loose.settings);
    let enrolled = store.enroll_org("default", &configured, Enroller::Operator("tester")).await.unwrap();
    assert_eq!(enrolled.in_force, configured);
    store.close().await;
    assert_eq!(judged(&loose).await, endings([("would_purge eligible", 1)]));
    assert_eq!(loose.number(changes).await, 1, "a change of rules is told");
}

#[tokio::test]
async fn a_worker_with_stricter_rules_brings_them_into_force_at_once() {
    let loose = looser().start().await;
    assert_eq!(judged(&loose).await, endings([("would_purge eligible", 1)]));
    let strict = stricter().role(Role::Worker).database(loose.database.clone()).start().await;
    assert_eq!(judged(&loose).await, endings([("retained retention_period", 1)]));
    drop(strict);
}
