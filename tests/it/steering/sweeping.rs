//! What cancel, pause and stop leave behind, step by step on the store: nothing is decided about twice, nobody waits for
//! somebody larger, and nothing is asked of whom nobody wants to know.

use std::time::Duration;

use genesys_purge::app::Role;
use genesys_purge::domain::act::Act;
use genesys_purge::domain::facts::Presence;
use genesys_purge::domain::keys;
use genesys_purge::store::jobs::intend::Intended;
use genesys_purge::store::jobs::pack::Packed;
use genesys_purge::store::jobs::polled::Polled;
use genesys_purge::store::jobs::submitted::Refusal;
use genesys_purge::store::purges::steer::Steered;
use genesys_purge::store::slices::claim::{Claim, Reach};
use serde_json::json;
use uuid::Uuid;

use super::races::{Lane, Rival, own_time};
use crate::support::books::assert_books;
use crate::support::trouble::endings;
use crate::support::{Setup, TestService};

pub(super) fn ids(numbers: std::ops::Range<u128>) -> Vec<Uuid> {
    numbers.map(Uuid::from_u128).collect()
}

pub(super) async fn lane() -> (TestService, Lane) {
    let test = Setup::new().role(Role::Api).start().await;
    let lane = Lane::open(&test, Rival::Cancel).await;
    (test, lane)
}

pub(super) async fn steer(lane: &Lane, purge: Uuid, act: Act) {
    let reach = keys::Reach::all();
    let steered = lane.steering.steer_purge(&reach, purge, act, lane.by).await.unwrap();
    assert!(matches!(steered, Some(Steered::Done { .. })), "{act}: {steered:?}");
}

/// Sweeps once; tells whether there was anything to do.
pub(super) async fn sweep(lane: &Lane) -> bool {
    let swept = lane.engine.sweep(&lane.org.name, &[]).await.unwrap();
    assert!(swept.failed.is_empty(), "{:?}", swept.failed);
    swept.has_swept
}

pub(super) async fn counts(test: &TestService, purge: Uuid) -> serde_json::Value {
    test.get(&format!("/purges/{purge}")).await["counts"].clone()
}

#[tokio::test]
async fn what_a_sweep_itself_wakes_is_decided_about_once() {
    let (test, lane) = lane().await;
    let first = lane.packed(&ids(1..3)).await;
    let Intended::Intent(intent) = lane.engine.intend(&lane.org, &lane.terms, own_time()).await.unwrap()
    else {
        panic!("nothing stands against the intent")
    };
    let second = lane.eligible(&ids(1..3)).await;
    assert_eq!(lane.engine.pack(&lane.org).await.unwrap(), Packed::Waiting);
    for purge in [first, second] {
        steer(&lane, purge, Act::Cancel).await;
    }
    let again = Refusal::Again(Duration::ZERO);
    lane.engine.record_refused(&lane.org.name, intent.lease, &again, &json!({})).await.unwrap();

    assert!(sweep(&lane).await);
    assert!(!sweep(&lane).await, "all is swept");
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
    assert!(sweep(&lane).await);
    assert_eq!(counts(&test, small).await["canceled"], 3);
    let swept = counts(&test, large).await["canceled"].as_u64().unwrap();
    assert!((1..30_000).contains(&swept), "{swept} at once");
    while sweep(&lane).await {}
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
        while sweep(&lane).await {}
    }
    assert_books(&test).await;
}

#[tokio::test]
async fn a_pause_makes_no_facts_younger_than_they_are() {
    let (test, lane) = lane().await;
    let ids = ids(1..5);
    let purge = lane.accepted(&ids).await;
    lane.answer(&lane.question(Reach::FirstAndDryRuns).await, &ids[..2]).await;
    assert_eq!(lane.engine.pack(&lane.org).await.unwrap(), Packed::Job(2));
    // Those of the first job are a day old, and were judged by other rules.
    test.sql("update job_parts set facts_epoch = facts_epoch - 1, facts_at = facts_at - interval '1 day'")
        .await;
    lane.answer(&lane.question(Reach::ForSlots).await, &ids[2..]).await;
    assert_eq!(lane.engine.pack(&lane.org).await.unwrap(), Packed::Job(2));
    steer(&lane, purge, Act::Pause).await;
    steer(&lane, purge, Act::Resume).await;
    assert!(matches!(lane.engine.pack(&lane.org).await.unwrap(), Packed::Job(4)));
    let intended = lane.engine.intend(&lane.org, &lane.terms, own_time()).await.unwrap();
    assert!(
        !matches!(intended, Intended::Intent(_)),
        "by rules that are not in force any more: {intended:?}"
    );
    assert_eq!(counts(&test, purge).await["submitted"], 0);
}

#[tokio::test]
async fn a_job_is_named_by_what_it_carried_and_by_nothing_else() {
    let (test, lane) = lane().await;
    let ids = ids(1..5);
    let purge = lane.eligible(&ids).await;
    assert_eq!(lane.engine.pack(&lane.org).await.unwrap(), Packed::Job(4));
    lane.hold(&ids[..1]).await;
    lane.submit().await;
    let jobs = async || {
        let body = test.get(&format!("/purges/{purge}/conversations")).await;
        let items = body["items"].as_array().unwrap().clone();
        items.into_iter().map(|item| (item["outcome"].clone(), item["jobId"].is_string())).collect::<Vec<_>>()
    };
    let carried = (json!("submitted"), true);
    let expected = [(json!("on_hold"), false), carried.clone(), carried.clone(), carried];
    assert_eq!(jobs().await, expected, "what left the job before its intent was not carried");
}

#[tokio::test]
async fn what_can_not_be_swept_holds_up_nobody_else() {
    let (test, lane) = lane().await;
    let purges = [lane.accepted(&ids(1..3)).await, lane.accepted(&ids(3..5)).await];
    for purge in purges {
        steer(&lane, purge, Act::Cancel).await;
    }
    let refuse = async |purge: Uuid| {
        test.sql(&format!(
            "create trigger refuse_{} before update on slices for each row when (old.purge_id = '{purge}')
             execute function refuse_change()",
            purge.simple()
        ))
        .await;
    };
    refuse(purges[0]).await;
    let swept = lane.engine.sweep(&lane.org.name, &[]).await.unwrap();
    assert!(swept.has_swept);
    let failed: Vec<Uuid> = swept.failed.iter().map(|(purge, _)| *purge).collect();
    assert_eq!(failed, purges[..1]);
    assert_eq!(test.get(&format!("/purges/{}", purges[1])).await["state"], "canceled");

    let mut failed = Vec::new();
    for ids in [ids(5..7), ids(7..9)] {
        failed.push(lane.submitted(&ids).await);
        lane.fail(&test, &ids).await;
    }
    refuse(failed[0]).await;
    for purge in &failed {
        steer(&lane, *purge, Act::Retry).await;
    }
    let mut except = purges[..1].to_vec();
    for _ in 0..2 {
        let swept = lane.engine.sweep(&lane.org.name, &except).await.unwrap();
        except.extend(swept.failed.iter().map(|(purge, _)| *purge));
    }
    assert_eq!(except, [purges[0], failed[0]]);
    assert_eq!(counts(&test, failed[1]).await["pending"], 2);
}

#[tokio::test]
async fn a_last_look_lets_go_of_whatever_it_was_told_of() {
    let (test, lane) = lane().await;
    let ids = ids(1..5);
    let purge = lane.eligible(&ids).await;
    assert_eq!(lane.engine.pack(&lane.org).await.unwrap(), Packed::Job(4));
    lane.submit().await;
    lane.fail(&test, &ids).await;
    end_job(&test, &lane).await;
    let kept = "select count(*) from reservations";
    lane.look(&ids[..1], Presence::Gone).await;
    assert_eq!(test.number(kept).await, 3, "what is gone is known");
    lane.due(&test).await;
    lane.look(&ids[1..2], Presence::Present).await;
    assert_eq!(test.number(kept).await, 3, "its deletion may show yet");
    test.sql("update jobs set ended_at = ended_at - interval '1 hour'").await;
    lane.due(&test).await;
    lane.look(&ids[1..2], Presence::Present).await;
    assert_eq!(test.number(kept).await, 2, "nobody told of the others");
    lane.due(&test).await;
    lane.look(&ids[2..], Presence::Gone).await;
    assert_eq!(test.number("select count(*) from jobs where state = 'done'").await, 1);
    assert_eq!(test.endings(purge).await, endings([("failed gone_late", 3), ("failed timed_out", 1)]));
    assert_books(&test).await;
}

pub(super) async fn end_job(test: &TestService, lane: &Lane) {
    test.sql("update jobs set run_at = now() where state = 'submitted'").await;
    let state = "COMPLETED".to_owned();
    lane.poll(Polled::Ended { is_completed: true, state, records_processed: None }).await;
}

#[tokio::test]
async fn what_went_late_is_not_submitted_by_facts_from_before() {
    let (test, lane) = lane().await;
    let ids = ids(1..3);
    lane.submitted(&ids).await;
    lane.fail(&test, &ids).await;
    let other = lane.eligible(&ids).await;
    end_job(&test, &lane).await;
    lane.look(&ids, Presence::Gone).await;
    assert_eq!(lane.engine.pack(&lane.org).await.unwrap(), Packed::Job(2));
    let intended = lane.engine.intend(&lane.org, &lane.terms, own_time()).await.unwrap();
    assert!(!matches!(intended, Intended::Intent(_)), "it is gone since: {intended:?}");
    assert_eq!(counts(&test, other).await["pending"], 2);
    assert_eq!(test.number("select count(*) from decisions where code = 'purged_elsewhere'").await, 1);
}

#[tokio::test]
async fn what_was_asked_before_the_end_of_a_job_says_nothing_of_what_it_carried() {
    let (test, lane) = lane().await;
    let ids = ids(1..3);
    let purge = lane.submitted(&ids).await;
    // Its deadline passes, and what it carries has failed.
    lane.fail(&test, &ids).await;
    assert_eq!(test.get(&format!("/purges/{purge}")).await["state"], "failed");
    steer(&lane, purge, Act::Retry).await;
    while sweep(&lane).await {}
    let question = lane.question(Reach::ForSlots).await;
    // The job ends while the question is under way.
    end_job(&test, &lane).await;
    lane.look(&[], Presence::Present).await;
    let done = "select count(*) from jobs where state = 'done'";
    assert_eq!(test.number(done).await, 0, "deletions may show yet");
    test.sql("update jobs set ended_at = ended_at - interval '1 hour', run_at = now()").await;
    lane.look(&ids, Presence::Present).await;
    assert_eq!(test.number(done).await, 1);
    lane.answer(&question, &ids).await;
    assert_eq!(counts(&test, purge).await["pending"], 2, "it was asked too early");
    assert_eq!(lane.engine.pack(&lane.org).await.unwrap(), Packed::Nothing);
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
    lane.steering.stop_org(&keys::Reach::all(), org, lane.by).await.unwrap();
    assert!(matches!(claim().await, Claim::Nothing), "the org is stopped");
    assert!(lane.engine.may_not_ask(org, &[purge]).await.unwrap());
    lane.steering.resume_org(&keys::Reach::all(), org, lane.by).await.unwrap();
    assert!(!lane.engine.may_not_ask(org, &[purge]).await.unwrap());
    assert!(matches!(claim().await, Claim::Claimed(..)));
    steer(&lane, purge, Act::Pause).await;
    assert!(lane.engine.may_not_ask(org, &[purge]).await.unwrap());
}
