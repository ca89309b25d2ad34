//! Jobs continue, however much there is to validate: no kind of step takes all permits, all workers or a whole turn.

use genesys_purge::sandbox::{Call, JobDuration};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::trouble::strikes;
use crate::support::{Setup, TestService};

/// A dry run that is being asked about; only its first questions were answered.
async fn dry_run_under_way(test: &TestService, ids: &[Uuid]) -> Uuid {
    let dry_run = test.purge_with(json!({ "conversationIds": ids, "dryRun": true })).await;
    test.wait_until("the dry run is asked about", async || test.calls(Call::Details, "200") > 2).await;
    dry_run
}

async fn is_open(test: &TestService, purge: Uuid) -> bool {
    let body: Value = test.get(&format!("/purges/{purge}")).await;
    body["finishedAt"].is_null()
}

#[tokio::test]
async fn a_refused_submit_waits_for_no_dry_run() {
    let test = Setup::new()
        .sandbox(|org| org.conversations = 400)
        .env("PURGE__ORGS__DEFAULT__REQUESTS_PER_MINUTE", "600")
        .env("PURGE__ORGS__DEFAULT__DETAILS_BATCH", "2")
        .start()
        .await;
    let ids: Vec<Uuid> = test.sandbox.sandbox().ids().collect();
    let dry_run = dry_run_under_way(&test, &ids[10..]).await;
    test.fault(strikes("submit", 1, &json!({ "status": 429 })));
    let purge = test.purge(&ids[..2]).await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    test.assert_all_struck();
    assert!(is_open(&test, dry_run).await, "the purge waited for the dry run");
    let log = test.sandbox.sandbox().report(usize::MAX, 1).last;
    let submits = log.iter().enumerate().filter(|(_, entry)| entry.call == Call::Submit).map(|(at, _)| at);
    let [refused, again] = submits.collect::<Vec<_>>()[..] else { panic!("{log:#?}") };
    assert!(again - refused < 30, "{} calls came before the refused one", again - refused);
    test.assert_purged_once(&ids[..2]);
    test.end().await;
}

#[tokio::test]
async fn questions_that_are_answered_at_once_do_not_make_a_turn_endless() {
    const IDS: usize = 8000;
    let test = Setup::new()
        .sandbox(|org| org.conversations = u32::try_from(IDS).unwrap())
        .env("PURGE__ORGS__DEFAULT__DETAILS_BATCH", "10")
        .start()
        .await;
    let ids: Vec<Uuid> = test.sandbox.sandbox().ids().collect();
    let dry_run = dry_run_under_way(&test, &ids[10..]).await;
    let purge = test.purge(&ids[..3]).await;
    let before = test.calls(Call::Details, "200");
    test.wait_until("it is submitted", async || !test.log(Call::Submit).is_empty()).await;
    let asked = test.calls(Call::Details, "200") - before;
    assert!(asked < 200, "{asked} questions were asked before three ids were submitted");
    assert!(is_open(&test, dry_run).await);
    assert_eq!(test.finished(purge).await["state"], "completed");
    test.assert_purged_once(&ids[..3]);
    test.end().await;
}

#[tokio::test]
async fn questions_without_an_answer_leave_workers_to_what_follows_jobs() {
    let test = Setup::new()
        .sandbox(|org| org.job_duration = JobDuration { base_ms: 1500, jitter_ms: 0 })
        .env("PURGE__ENGINE__WORKERS", "4")
        .env("PURGE__ORGS__DEFAULT__DETAILS_BATCH", "1")
        .start()
        .await;
    let ids: Vec<Uuid> = test.sandbox.sandbox().ids().collect();
    let purge = test.purge(&ids[..1]).await;
    test.wait_until("it is submitted", async || !test.log(Call::Submit).is_empty()).await;
    test.fault(strikes("details", 20, &json!({ "hang": true })));
    test.purge_with(json!({ "conversationIds": ids[10..30], "dryRun": true })).await;
    test.wait_until("its questions hang", async || test.calls(Call::Details, "hung") >= 3).await;
    test.wait_until("the job is polled", async || !test.log(Call::Poll).is_empty()).await;
    assert_eq!(test.calls(Call::Details, "hung"), 3, "one worker of four is for what follows jobs");
    assert_eq!(test.jobs(purge).await.len(), 1);
    test.end().await;
}
