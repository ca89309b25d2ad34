//! Doubt at its limits: jobs that show late, run for longer than a window, or are answered after the call was given
//! up. Time passes by moving the times of rows back.

use genesys_purge::app::engine_terms;
use genesys_purge::sandbox::{Call, JobDuration, Kind};
use serde_json::json;
use uuid::Uuid;

use super::strict;
use crate::support::books::assert_books;
use crate::support::trouble::{endings, strikes};
use crate::support::{Setup, TestService};

/// With a window that no test waits for.
fn patient() -> Setup {
    strict().env("PURGE__ENGINE__AMBIGUITY_GRACE", "10m")
}

/// Waits until the only job is in doubt, after so many losses in a row, and its window has begun.
async fn in_doubt(test: &TestService, losses: u32) {
    let is_so = format!(
        "select count(*) from jobs
         where state = 'in_doubt' and losses = {losses} and run_at > clock_timestamp() + interval '9 minutes'"
    );
    test.wait_until("the doubt", async || test.number(&is_so).await == 1).await;
}

/// So many minutes pass for the job in doubt.
async fn minutes_pass(test: &TestService, minutes: u32) {
    test.sql(&format!(
        "update jobs set run_at = run_at - interval '{minutes} minutes', lost_since = lost_since - interval '{minutes} minutes'
         where state = 'in_doubt'"
    ))
    .await;
    test.sql("select pg_notify('genesys_purge_work', 'default')").await;
}

/// Another purge of the same ids, which waits for the job that has them.
async fn waiting(test: &TestService, ids: &[Uuid]) -> Uuid {
    let purge = test.purge(ids).await;
    let all = i64::try_from(ids.len()).unwrap();
    test.wait_until("it waits", async || test.number("select count(*) from waiters").await == all).await;
    purge
}

#[tokio::test]
async fn a_job_that_shows_minutes_after_its_lost_answer_is_found_by_its_window() {
    let hour = JobDuration { base_ms: 3_600_000, jitter_ms: 0 };
    let test = patient().sandbox(|org| org.job_duration = hour).start().await;
    test.fault(strikes("submit", 1, &json!({ "reset": "after" })));
    let ids = &test.ids_of(Kind::Eligible)[..5];
    let purge = test.purge(ids).await;
    in_doubt(&test, 1).await;
    let other = waiting(&test, ids).await;
    minutes_pass(&test, 9).await;
    // Until now nothing of it was to be seen.
    test.sandbox.sandbox().end_jobs();
    minutes_pass(&test, 2).await;

    assert_eq!(test.endings_when_final(purge).await, endings([("purged gone_after_lost_submit", 5)]));
    assert_eq!(test.endings_when_final(other).await, endings([("already_purged gone", 5)]));
    assert_eq!(test.log(Call::Submit).len(), 1);
    test.assert_purged_once(ids);
    assert_books(&test).await;
}

#[tokio::test]
async fn as_long_as_ids_go_on_disappearing_each_window_is_followed_by_another() {
    let test = patient().start().await;
    test.fault(strikes("submit", 1, &json!({ "reset": "before" })));
    let ids = &test.ids_of(Kind::Eligible)[..6];
    let purge = test.purge(ids).await;
    in_doubt(&test, 1).await;
    let other = waiting(&test, ids).await;
    for (gone, deleted) in [(2, &ids[..2]), (4, &ids[2..4])] {
        test.sandbox.sandbox().run_job(deleted);
        test.sandbox.sandbox().end_jobs();
        minutes_pass(&test, 11).await;
        test.purge_when(purge, |body| body["counts"]["purged"] == gone).await;
        in_doubt(&test, 1).await;
        assert_eq!(test.log(Call::Submit).len(), 1, "somebody deletes them");
    }
    minutes_pass(&test, 11).await;
    let expected = endings([("purged gone_after_lost_submit", 4), ("purged gone", 2)]);
    assert_eq!(test.endings_when_final(purge).await, expected);
    assert_eq!(test.endings_when_final(other).await, endings([("already_purged gone", 6)]));
    let submits = test.log(Call::Submit);
    assert_eq!((submits.len(), submits[1].ids), (2, 2), "{submits:?}");
    test.assert_purged_once(ids);
    assert_books(&test).await;
}

#[tokio::test]
async fn an_answer_that_comes_after_the_lease_changes_nothing() {
    let test = patient().start().await;
    test.fault(json!({ "call": "submit", "times": 1, "when": "after", "fault": { "delayMs": 2000 } }));
    let ids = &test.ids_of(Kind::Eligible)[..5];
    let purge = test.purge(ids).await;
    test.wait_until("upstream has done it", async || test.sandbox.sandbox().truth().deleted == 5).await;
    test.sql("update jobs set lease_until = clock_timestamp() where state = 'submitting'").await;
    let store = test.store().await;
    store.expire_submits("default", &engine_terms(&test.settings)).await.unwrap();
    store.close().await;
    in_doubt(&test, 1).await;
    let other = test.purge(ids).await;
    let step = "genesys_purge_step_duration_seconds_count";
    test.wait_until("the answer", async || test.counted(step, "result=\"lease_lost\"").await == 1).await;
    in_doubt(&test, 1).await;
    minutes_pass(&test, 11).await;

    assert_eq!(test.endings_when_final(purge).await, endings([("purged gone_after_lost_submit", 5)]));
    assert_eq!(test.endings_when_final(other).await, endings([("already_purged gone", 5)]));
    assert_eq!(test.log(Call::Submit).len(), 1);
    test.assert_purged_once(ids);
    assert_books(&test).await;
}

#[tokio::test]
async fn a_row_of_losses_has_one_unknown_submit_at_a_time_and_ends_at_its_deadline() {
    let test = patient().env("PURGE__ENGINE__JOB_DEADLINE", "50m").start().await;
    test.fault(json!({ "call": "submit", "fault": { "status": 504 } }));
    let ids = &test.ids_of(Kind::Eligible)[..1];
    let purge = test.purge(ids).await;
    in_doubt(&test, 1).await;
    let other = waiting(&test, ids).await;
    for losses in 1..=5 {
        in_doubt(&test, losses).await;
        assert_eq!(test.log(Call::Submit).len(), usize::try_from(losses).unwrap(), "one a window");
        assert_eq!(test.number("select count(*) from jobs").await, 1);
        if losses == 5 {
            test.sandbox.sandbox().clear_faults();
        }
        minutes_pass(&test, 11).await;
    }
    let body = test.finished(purge).await;
    assert_eq!(body["state"], "failed", "{body}");
    assert_eq!(test.endings(purge).await, endings([("failed submit_unknown", 1)]));
    assert_eq!(test.endings_when_final(other).await, endings([("purged gone", 1)]), "its window has passed");
    assert_eq!(test.log(Call::Submit).len(), 6);
    test.assert_purged_once(ids);
    test.assert_no_breach();
    assert_books(&test).await;
}
