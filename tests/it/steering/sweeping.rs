//! What cancel, pause and stop leave behind, step by step on the store: nothing is decided about twice, nobody waits for
//! somebody larger, and nothing is asked of whom nobody wants to know.

use std::time::Duration;

use genesys_purge::app::Role;
use genesys_purge::domain::act::Act;
use genesys_purge::store::jobs::intend::Intended;
use genesys_purge::store::jobs::pack::Packed;
use genesys_purge::store::jobs::submitted::Refusal;
use genesys_purge::store::purges::steer::Steered;
use genesys_purge::store::slices::claim::{Claim, Reach};
use serde_json::json;
use uuid::Uuid;

use super::races::{Lane, Rival};
use crate::support::books::assert_books;
use crate::support::{Setup, TestService};

fn ids(numbers: std::ops::Range<u128>) -> Vec<Uuid> {
    numbers.map(Uuid::from_u128).collect()
}

async fn lane() -> (TestService, Lane) {
    let test = Setup::new().role(Role::Api).start().await;
    let lane = Lane::open(&test, Rival::Cancel).await;
    (test, lane)
}

async fn steer(lane: &Lane, purge: Uuid, act: Act) {
    let steered = lane.steering.steer_purge(&lane.org.name, purge, act, "tester", "r").await.unwrap();
    assert!(matches!(steered, Steered::Done { .. }), "{act}: {steered:?}");
}

async fn counts(test: &TestService, purge: Uuid) -> serde_json::Value {
    test.get(&format!("/purges/{purge}")).await["counts"].clone()
}

#[tokio::test]
async fn what_a_sweep_itself_wakes_is_decided_about_once() {
    let (test, lane) = lane().await;
    let first = lane.packed(&ids(1..3)).await;
    let Intended::Intent(intent) = lane.engine.intend(&lane.org, &lane.terms).await.unwrap() else {
        panic!("nothing stands against the intent")
    };
    let second = lane.eligible(&ids(1..3)).await;
    assert_eq!(lane.engine.pack(&lane.org).await.unwrap(), Packed::Waiting);
    for purge in [first, second] {
        steer(&lane, purge, Act::Cancel).await;
    }
    let again = Refusal::Again(Duration::ZERO);
    lane.engine.record_refused(&lane.org.name, intent.lease, &again, &json!({})).await.unwrap();

    assert!(lane.engine.sweep(&lane.org.name).await.unwrap());
    assert!(!lane.engine.sweep(&lane.org.name).await.unwrap(), "all is swept");
    for purge in [first, second] {
        assert_eq!(counts(&test, purge).await["canceled"], 2);
    }
    assert_eq!(test.number("select count(*) from decisions where code = 'facts_stale'").await, 0);
    assert_books(&test).await;
}

#[tokio::test]
async fn a_small_purge_is_swept_before_a_large_one_is_done() {
    let (test, lane) = lane().await;
    let large = lane.accepted(&ids(0..30_000)).await;
    let small = lane.accepted(&ids(30_000..30_003)).await;
    for purge in [large, small] {
        steer(&lane, purge, Act::Cancel).await;
    }
    assert!(lane.engine.sweep(&lane.org.name).await.unwrap());
    assert_eq!(counts(&test, small).await["canceled"], 3);
    let swept = counts(&test, large).await["canceled"].as_u64().unwrap();
    assert!((1..30_000).contains(&swept), "{swept} at once");
    while lane.engine.sweep(&lane.org.name).await.unwrap() {}
    assert_eq!(test.get(&format!("/purges/{large}")).await["state"], "canceled");
    assert_books(&test).await;
}

#[tokio::test]
async fn a_pause_keeps_facts_only_where_nothing_has_called_them_in_question() {
    let (test, lane) = lane().await;
    for (mark, kept) in [
        ("tries = 0", "eligible"),
        ("recheck = true", "pending"),
        ("rechecked = true", "pending"),
        ("lost_since = now()", "pending"),
    ] {
        let purge = lane.packed(&ids(1..3)).await;
        test.sql(&format!("update jobs set {mark} where state = 'waiting'")).await;
        steer(&lane, purge, Act::Pause).await;
        assert_eq!(counts(&test, purge).await[kept], 2, "{mark}");
        assert_eq!(test.number("select count(*) from jobs where state <> 'done'").await, 0);
        steer(&lane, purge, Act::Cancel).await;
        while lane.engine.sweep(&lane.org.name).await.unwrap() {}
    }
    assert_books(&test).await;
}

#[tokio::test]
async fn nothing_is_asked_of_a_stopped_org_or_a_resting_purge() {
    let (_test, lane) = lane().await;
    let org = &lane.org.name;
    let purge = lane.accepted(&ids(1..3)).await;
    let claim = async || {
        let reach = Reach::FirstAndDryRuns;
        lane.engine.claim_slices(&lane.org, reach, Duration::ZERO, false).await.unwrap()
    };
    lane.steering.stop_org(org, "tester", None, "r").await.unwrap();
    assert!(matches!(claim().await, Claim::Nothing), "the org is stopped");
    assert!(lane.engine.may_not_ask(org, &[purge]).await.unwrap());
    lane.steering.resume_org(org, "tester", "r").await.unwrap();
    assert!(!lane.engine.may_not_ask(org, &[purge]).await.unwrap());
    assert!(matches!(claim().await, Claim::Claimed(..)));
    steer(&lane, purge, Act::Pause).await;
    assert!(lane.engine.may_not_ask(org, &[purge]).await.unwrap());
}
