//! Rows of submits without an answer: what breaks them, what does not, and how long each of them waits.

use genesys_purge::app::engine_terms;
use genesys_purge::sandbox::{Call, Kind};
use serde_json::json;

use crate::support::Setup;
use crate::support::trouble::{endings, strikes};

#[tokio::test]
async fn a_definite_no_does_not_break_a_row_of_losses() {
    let test = Setup::new().env("PURGE__ENGINE__JOB_DEADLINE", "3s").start().await;
    // Every second submit is lost, the others are refused.
    test.fault(json!({ "call": "submit", "every": 2, "fault": { "status": 504 } }));
    test.fault(json!({ "call": "submit", "fault": { "status": 403 } }));
    let ids = &test.ids_of(Kind::Eligible)[..1];
    let purge = test.purge(ids).await;
    test.wait_until("the end of the row", async || {
        test.probe_now().await;
        test.get(&format!("/purges/{purge}")).await["state"] == "failed"
    })
    .await;
    assert_eq!(test.endings(purge).await, endings([("failed submit_unknown", 1)]));
    test.assert_untouched(ids);
}

#[tokio::test]
async fn a_job_id_that_is_known_already_puts_the_job_in_doubt_and_is_noted() {
    let test = Setup::new().start().await;
    let ids = test.ids_of(Kind::Eligible);
    let first = test.purge(&ids[..1]).await;
    assert_eq!(test.finished(first).await["state"], "completed");
    let known = test.jobs(first).await[0]["jobId"].clone();
    let body = json!({ "jobId": known }).to_string();
    test.fault(strikes("submit", 1, &json!({ "status": 200, "body": body })));

    let second = test.purge(&ids[1..2]).await;
    test.wait_until("the doubt", async || {
        test.jobs(second).await.first().is_some_and(|job| job["lastError"]["upstreamJobId"] == known)
    })
    .await;
    assert_eq!(test.endings_when_final(second).await, endings([("purged gone", 1)]));
    assert_eq!(test.log(Call::Submit).len(), 3, "it went again after its window");
    test.assert_purged_once(&ids[..2]);
}

#[tokio::test]
async fn the_window_of_a_loss_is_as_long_as_the_job_that_runs_longest() {
    let setup = Setup::new().sandbox(|org| org.job_duration.base_ms = 60_000);
    let test = setup.start().await;
    let ids = test.ids_of(Kind::Eligible);
    test.purge(&ids[..1]).await;
    test.wait_until("the long job", async || test.calls(Call::Submit, "200") == 1).await;
    test.wait_until("its record", async || {
        test.number("select count(*) from jobs where state = 'submitted'").await == 1
    })
    .await;
    test.sql("update jobs set submitted_at = submitted_at - interval '1 hour'").await;
    test.fault(strikes("submit", 1, &json!({ "status": 504 })));
    test.purge(&ids[1..2]).await;
    test.wait_until("the loss", async || {
        test.number("select count(*) from jobs where state = 'in_doubt'").await == 1
    })
    .await;
    let window = "select extract(epoch from run_at - lost_since)::bigint from jobs where state = 'in_doubt'";
    assert!(test.number(window).await >= 3600);
}

#[tokio::test]
async fn a_submit_whose_worker_died_waits_as_long_as_one_that_was_lost() {
    let test = Setup::new().env("PURGE__ENGINE__PAUSED", "true").start().await;
    test.sql(
        "insert into jobs (id, org, ids, size, state, upstream_job_id, intended_at, submitted_at)
         values (gen_random_uuid(), 'default', '{}', 0, 'submitted', 'long', now(), now() - interval '2 hours')",
    )
    .await;
    test.sql(
        "insert into jobs (id, org, ids, size, state, call_before, lease_until, intended_at)
         values (gen_random_uuid(), 'default', '{}', 0, 'submitting', now(), now() - interval '1 second', now())",
    )
    .await;
    let store = test.store().await;
    assert_eq!(store.expire_submits("default", &engine_terms(&test.settings)).await.unwrap(), 1);
    store.close().await;
    let window = "select extract(epoch from run_at - lost_since)::bigint from jobs where state = 'in_doubt'";
    assert!(test.number(window).await >= 7200);
}

#[tokio::test]
async fn a_batch_that_is_lost_again_and_again_goes_on_in_halves() {
    let test = Setup::new().start().await;
    let ids = &test.ids_of(Kind::Eligible)[..8];
    test.sandbox.sandbox().patch_settings(json!({ "poisonSubmit": ids[5] })).unwrap();
    let purge = test.purge(ids).await;
    // All but the poison itself, which is submitted on, alone.
    test.purge_when(purge, |body| body["counts"]["purged"] == 7).await;
    let submits: Vec<usize> = test.log(Call::Submit).iter().map(|entry| entry.ids).collect();
    assert!(submits.iter().filter(|ids| **ids == 8).count() >= 3, "whole at first: {submits:?}");
    test.sandbox.sandbox().patch_settings(json!({ "poisonSubmit": null })).unwrap();
    assert_eq!(test.finished(purge).await["counts"]["purged"], 8);
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn what_a_reread_was_told_is_not_asked_again() {
    let test = Setup::new().env("PURGE__ORGS__DEFAULT__DETAILS_BATCH", "2").start().await;
    let ids = &test.ids_of(Kind::Eligible)[..6];
    test.fault(strikes("submit", 1, &json!({ "status": 504 })));
    let purge = test.purge(ids).await;
    test.wait_until("the loss", async || test.calls(Call::Submit, "504") == 1).await;
    // No look of three calls is answered as a whole.
    test.fault(json!({ "call": "details", "every": 2, "fault": { "status": 500 } }));
    assert_eq!(test.finished(purge).await["counts"]["purged"], 6);
    test.assert_purged_once(ids);
}
