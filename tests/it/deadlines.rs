//! Upstream jobs that don't end in time: their conversations fail, slot and ids stay until the job's fate is known.

use genesys_purge::sandbox::{Call, JobDuration, Kind};
use serde_json::json;

use crate::support::Setup;
use crate::support::trouble::endings;

/// Jobs of `job_ms`, one slot.
fn overdue(job_ms: u32, deadline: &str) -> Setup {
    Setup::new()
        .sandbox(|settings| settings.job_duration = JobDuration { base_ms: job_ms, jitter_ms: 0 })
        .env("PURGE__ENGINE__JOB_DEADLINE", deadline)
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "500ms")
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "1")
}

#[tokio::test]
async fn a_job_past_its_deadline_fails_its_conversations_and_keeps_slot_and_ids_until_it_ends() {
    let test = overdue(3000, "2s").start().await;
    let all = test.ids_of(Kind::Eligible);
    let (ids, others) = (&all[..4], &all[4..6]);
    let first = test.purge(ids).await;
    let body = test.finished(first).await;
    assert_eq!(body["state"], "failed", "{body}");
    assert_eq!(test.endings(first).await, endings([("failed timed_out", 4)]));
    let job = &test.jobs(first).await[0];
    assert_eq!(job["state"], "submitted", "upstream may still run it: {job}");

    test.sandbox.sandbox().patch_settings(json!({ "jobDuration": { "baseMs": 50, "jitterMs": 0 } })).unwrap();
    let (again, elsewhere) = (test.purge(ids).await, test.purge(others).await);
    assert_eq!(test.finished(again).await["counts"]["already_purged"], 4, "it waited, and looked afresh");
    assert_eq!(test.finished(elsewhere).await["counts"]["purged"], 2);

    let submits = test.log(Call::Submit);
    assert_eq!(submits.len(), 2);
    let apart = submits[1].at.duration_since(submits[0].at).as_secs_f64();
    assert!(apart >= 3.0, "the slot was taken until the job ended: {apart} s");
    let job = &test.jobs(first).await[0];
    assert_eq!((&job["state"], &job["result"]), (&json!("done"), &json!("timed_out")), "{job}");
    assert_eq!(test.endings(first).await, endings([("failed gone_late", 4)]), "outcomes stay");
    let noted = "select count(*) from events where type = 'gone_late'
                 and jsonb_array_length(payload->'conversationIds') = 4";
    assert_eq!(test.number(noted).await, 1);
    test.assert_purged_once(&all[..6]);
}

#[tokio::test]
async fn a_job_that_never_ends_is_given_up_after_a_second_deadline() {
    let test = overdue(600_000, "1s").start().await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let purge = test.purge(ids).await;
    assert_eq!(test.finished(purge).await["state"], "failed");
    assert_eq!(test.endings(purge).await, endings([("failed timed_out", 3)]));
    test.wait_until("the end of the job", async || test.jobs(purge).await[0]["state"] == "done").await;
    let job = &test.jobs(purge).await[0];
    assert_eq!(job["result"], "timed_out", "{job}");
    let held = "select extract(epoch from finished_at - submitted_at)::bigint from jobs";
    assert!(test.number(held).await >= 2);
    assert_eq!(test.number("select count(*) from reservations").await, 0);
    assert_eq!(test.number("select count(*) from events where type = 'gone_late'").await, 0);
    test.assert_no_breach();
}

#[tokio::test]
async fn what_a_job_past_its_deadline_has_deleted_is_purged() {
    // Upstream calls the job running for ever, though it has done its work.
    let test = overdue(200, "1500ms").start().await;
    let body = json!({ "state": "inProgress" }).to_string();
    test.fault(json!({ "call": "poll", "fault": { "status": 200, "body": body } }));
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let purge = test.purge(ids).await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 3)]));
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn polls_that_are_never_answered_end_at_the_deadline_too() {
    let test = overdue(200, "1500ms").start().await;
    test.fault(json!({ "call": "poll", "fault": { "status": 503 } }));
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let purge = test.purge(ids).await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 3)]));
    assert_eq!(test.log(Call::Submit).len(), 1);
    test.assert_purged_once(ids);
}
