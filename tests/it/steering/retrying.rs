//! Retry: failed conversations are processed again, in a new run with its own final event.

use genesys_purge::domain::act::Act;
use genesys_purge::domain::keys::Reach;
use genesys_purge::sandbox::{Call, DeletedLooks, JobDuration, Kind};
use genesys_purge::store::Urgency;
use genesys_purge::store::keys::By;
use genesys_purge::store::purges::steer::Steered;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{act, history};
use crate::support::books::assert_books;
use crate::support::trouble::endings;
use crate::support::{Setup, TestService};

#[tokio::test]
async fn a_retry_takes_up_what_failed_and_nothing_else_in_a_new_run() {
    let test = Setup::new()
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "100ms")
        .env("PURGE__ENGINE__MAX_ATTEMPTS", "2")
        .sandbox(|org| {
            org.failed_share = 1.0;
            org.shares.held = 1.0;
        })
        .start()
        .await;
    let (ids, held) = (test.ids_of(Kind::Eligible), test.ids_of(Kind::Held));
    let purge = test.purge(&[&ids[..3], &held[..2]].concat()).await;
    let failed = test.finished(purge).await;
    assert_eq!((&failed["state"], &failed["run"]), (&json!("failed"), &json!(1)), "{failed}");
    assert_eq!(test.calls(Call::Submit, "200"), 2, "max_attempts");

    let again = act(&test, purge, "retry").await;
    assert_eq!(
        (&again["state"], &again["run"], &again["finishedAt"]),
        (&json!("running"), &json!(2), &json!(null))
    );
    assert_eq!(test.finished(purge).await["state"], "failed");
    assert_eq!(test.calls(Call::Submit, "200"), 4, "the new run has attempts of its own");

    test.sandbox.sandbox().patch_settings(json!({ "failedShare": 0.0 })).unwrap();
    act(&test, purge, "retry").await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["run"]), (&json!("completed"), &json!(3)), "{body}");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 3), ("on_hold upstream_legal_hold", 2)]));
    let told = test
        .receiver
        .wait_for(3, |hook| hook.event().starts_with("purge_") && hook.body["run"].is_u64())
        .await;
    let mut told: Vec<(u64, String)> =
        told.iter().map(|hook| (hook.body["run"].as_u64().unwrap(), hook.event().to_owned())).collect();
    told.sort();
    let end = |run, event: &str| (run, event.to_owned());
    assert_eq!(told, [end(1, "purge_failed"), end(2, "purge_failed"), end(3, "purge_completed")]);
    let retried: Vec<_> =
        history(&test, purge).await.into_iter().filter(|(event, ..)| event == "purge_retried").collect();
    let by_tester = ("purge_retried".to_owned(), "tester".to_owned(), Some("retry-1".to_owned()));
    assert_eq!(retried, [by_tester.clone(), by_tester]);
    assert_eq!(test.number("select count(distinct run) from decisions where step = 'retry'").await, 2);
    test.assert_no_breach();
    assert_books(&test).await;
}

#[tokio::test]
async fn a_large_purge_is_taken_up_slice_by_slice_and_ends_only_after_the_last() {
    let test = Setup::new()
        .sandbox(|org| org.conversations = 10_600)
        .env("PURGE__ORGS__DEFAULT__MAX_BATCH", "1000")
        .env("PURGE__ORGS__DEFAULT__DETAILS_BATCH", "1000")
        .start()
        .await;
    let ids = test.ids_of(Kind::Eligible);
    // Upstream does not know such a call for once: nothing is submitted, all fails.
    test.fault(json!({ "call": "submit", "fault": { "status": 410 } }));
    let purge = test.purge(&ids).await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["counts"]["failed"]), (&json!("failed"), &json!(10_600)), "{body}");
    test.sandbox.sandbox().clear_faults();
    act(&test, purge, "retry").await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["counts"]["purged"]), (&json!("completed"), &json!(10_600)), "{body}");
    assert_books(&test).await;
}

#[tokio::test]
async fn what_an_overdue_job_still_has_waits_for_it_and_is_judged_afresh() {
    let at_the_end = async |test: &TestService, purge| {
        assert_eq!(test.endings(purge).await, endings([("failed timed_out", 4)]));
    };
    let (test, purge, ids) = retried_beside_its_job(DeletedLooks::Deleted, 0, at_the_end).await;
    assert_eq!(test.log(Call::Submit).len(), 1, "upstream may still be at it");

    end_job(&test).await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["run"]), (&json!("completed"), &json!(2)), "{body}");
    assert_eq!(test.endings(purge).await, endings([("purged seen_gone_later", 4)]));
    assert_eq!(test.log(Call::Submit).len(), 1);
    test.assert_purged_once(&ids);
    test.wait_until("the end of the job", async || test.jobs(purge).await[0]["state"] == "done").await;
}

#[tokio::test]
async fn a_cancel_before_anything_was_taken_up_ends_the_retry() {
    let mut test = TestService::start().await;
    test.fault(json!({ "call": "submit", "fault": { "status": 410 } }));
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..3]).await;
    assert_eq!(test.finished(purge).await["state"], "failed");
    test.stop_service().await;
    let store = test.store().await;
    let (key_id, _) = store.find_caller(&test.key, Urgency::Ordinary).await.unwrap().in_force().unwrap();
    let by = By { key_id, name: "tester", request_id: "r", reason: None };
    for act in [Act::Retry, Act::Cancel] {
        let steered = store.steer_purge(&Reach::all(), purge, act, by).await.unwrap();
        assert!(matches!(steered, Some(Steered::Done { .. })), "{act}: {steered:?}");
    }
    store.close().await;
    test.start_service().await;
    let body: Value = test.get(&format!("/purges/{purge}")).await;
    let counts = &body["counts"];
    assert_eq!(
        (&body["state"], &body["run"], &counts["failed"]),
        (&json!("canceled"), &json!(2), &json!(3)),
        "{body}"
    );
    assert_books(&test).await;
}

/// A purge of four conversations that has failed and is retried, while the job that was given up goes on, until the test
/// has it end.
async fn retried_beside_its_job(
    deleted_looks: DeletedLooks,
    deletion_lag_ms: u32,
    before: impl AsyncFnOnce(&TestService, Uuid),
) -> (TestService, Uuid, Vec<Uuid>) {
    let test = Setup::new()
        .sandbox(|org| {
            org.job_duration = JobDuration { base_ms: 3_600_000, jitter_ms: 0 };
            (org.deleted_looks, org.deletion_lag_ms) = (deleted_looks, deletion_lag_ms);
        })
        .env("PURGE__ENGINE__JOB_DEADLINE", "10m")
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "10m")
        .start()
        .await;
    let ids = test.ids_of(Kind::Eligible)[..4].to_vec();
    let purge = test.purge(&ids).await;
    let submitted = async || test.jobs(purge).await.first().is_some_and(|job| job["state"] == "submitted");
    test.wait_until("the job", submitted).await;
    test.sql("update jobs set submitted_at = submitted_at - interval '11 minutes'").await;
    test.probe_now().await;
    assert_eq!(test.finished(purge).await["counts"]["failed"], 4);
    before(&test, purge).await;
    act(&test, purge, "retry").await;
    test.purge_when(purge, |body| body["counts"]["eligible"] == 4).await;
    (test, purge, ids)
}

/// Upstream ends the job; it is asked after once an hour or so, and now.
async fn end_job(test: &TestService) {
    test.sandbox.sandbox().end_jobs();
    test.probe_now().await;
}

async fn hold(test: &TestService, ids: &[Uuid]) -> Value {
    let (status, hold) = test.post("/holds", &json!({ "matter": "M", "conversationIds": ids })).await;
    assert_eq!(status.as_u16(), 201, "{hold}");
    hold["tooLate"].clone()
}

async fn assert_what_a_job_may_still_delete_is_told(deleted_looks: DeletedLooks, deletion_lag_ms: u32) {
    let (test, purge, ids) = retried_beside_its_job(deleted_looks, deletion_lag_ms, async |_, _| {}).await;
    // Protected from now on, but the job that was given up goes on all the same.
    assert_eq!(hold(&test, &ids[3..]).await, json!([ids[3]]));
    act(&test, purge, "cancel").await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["counts"]["failed"]), (&json!("canceled"), &json!(4)), "{body}");
    assert_eq!(test.endings(purge).await, endings([("failed not_seen_gone", 4)]));
    let job = test.jobs(purge).await[0]["jobId"].clone();
    assert!(job.is_string(), "{job}");
    let jobs = async || {
        let body = test.get(&format!("/purges/{purge}/conversations")).await;
        body["items"].as_array().unwrap().iter().map(|item| item["jobId"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(jobs().await, [job.clone(), job.clone(), job.clone(), job.clone()]);

    // It is over, and its last look is still to come: nobody knows better yet.
    test.fault(json!({ "call": "details", "fault": { "status": 503 } }));
    end_job(&test).await;
    test.wait_until("the end of the job", async || test.jobs(purge).await[0]["state"] != "submitted").await;
    assert_eq!(hold(&test, &ids[2..3]).await, json!([ids[2]]));
    test.sandbox.sandbox().clear_faults();
    test.go_on().await;
    test.wait_until("the last look", async || test.jobs(purge).await[0]["state"] == "done").await;
    assert_eq!(hold(&test, &ids[..1]).await, json!([ids[0]]), "for all time");
    let told: Vec<Value> =
        sqlx::query_scalar("select payload from events where purge_id = $1 and type = 'gone_late'")
            .bind(purge)
            .fetch_all(&mut test.database.connect().await)
            .await
            .unwrap();
    let told: usize = told.iter().map(|event| event["conversationIds"].as_array().unwrap().len()).sum();
    assert_eq!(told, 4, "each once");
    assert_eq!(test.endings(purge).await, endings([("failed gone_late", 4)]), "the outcome stays");
    assert_eq!(jobs().await, [job.clone(), job.clone(), job.clone(), job.clone()]);
    let story = test.get(&format!("/conversations/{}", ids[0])).await;
    let last = story["purges"][0]["decisions"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["code"], &last["jobId"]), (&json!("gone_late"), &job), "{story}");
    test.assert_purged_once(&ids);
    assert_books(&test).await;
}

#[tokio::test]
async fn what_a_job_may_still_delete_is_not_called_canceled_and_told_of_when_it_is_gone() {
    tokio::join!(
        assert_what_a_job_may_still_delete_is_told(DeletedLooks::Deleted, 0),
        assert_what_a_job_may_still_delete_is_told(DeletedLooks::Deleted, 1500),
        assert_what_a_job_may_still_delete_is_told(DeletedLooks::Absent, 0),
    );
}

async fn assert_what_a_job_may_still_delete_is_not_called_kept(deleted_looks: DeletedLooks, lag_ms: u32) {
    let held = async |test: &TestService, _| {
        let ids = &test.ids_of(Kind::Eligible)[..4];
        assert_eq!(hold(test, ids).await, json!(ids), "the job goes on");
    };
    let (test, purge, ids) = retried_beside_its_job(deleted_looks, lag_ms, held).await;
    // Another purge that names them, under the hold from its beginning.
    let other = test.purge(&ids).await;
    end_job(&test).await;
    let body = test.finished(purge).await;
    assert_eq!(body["counts"]["purged"], 4, "{body}");
    assert_eq!(test.endings(purge).await, endings([("purged seen_gone_later", 4)]));
    let body = test.finished(other).await;
    assert_eq!(body["counts"]["already_purged"], 4, "{body}");
    test.wait_until("the end of the job", async || test.jobs(purge).await[0]["state"] == "done").await;
    test.assert_purged_once(&ids);
    assert_books(&test).await;
}

#[tokio::test]
async fn what_a_job_may_still_delete_is_not_called_kept() {
    tokio::join!(
        assert_what_a_job_may_still_delete_is_not_called_kept(DeletedLooks::Deleted, 0),
        assert_what_a_job_may_still_delete_is_not_called_kept(DeletedLooks::Deleted, 4000),
        assert_what_a_job_may_still_delete_is_not_called_kept(DeletedLooks::Absent, 0),
    );
}

#[tokio::test]
async fn what_the_last_look_shows_of_what_a_retry_took_up_is_known_at_once() {
    let (test, purge, ids) = retried_beside_its_job(DeletedLooks::Deleted, 0, async |_, _| {}).await;
    let other = test.purge(&ids[..1]).await;
    test.purge_when(other, |body| body["counts"]["eligible"] == 1).await;
    // The last look is answered, and nothing after it: nobody asks afresh.
    test.fault(json!({ "call": "details", "after": 1, "fault": { "status": 503 } }));
    end_job(&test).await;
    test.wait_until("the last look", async || test.jobs(purge).await[0]["state"] == "done").await;
    assert_eq!(hold(&test, &ids).await, json!(ids), "it showed them gone");
    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("purged seen_gone_later", 4)]));

    test.sandbox.sandbox().clear_faults();
    test.go_on().await;
    assert_eq!(test.endings_when_final(other).await, endings([("already_purged gone", 1)]));
    test.assert_purged_once(&ids);
    assert_books(&test).await;
}
