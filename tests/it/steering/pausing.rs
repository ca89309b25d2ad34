//! Pause and resume: no new work starts, running jobs are followed to their end, and other purges are not delayed.

use genesys_purge::app::Role;
use genesys_purge::sandbox::{Call, Kind};
use serde_json::json;

use super::{act, history, packed, submits, time_in};
use crate::support::books::{assert_books, eventually};
use crate::support::{Setup, TestService};

/// One job of ten conversations at a time.
fn one_by_one(job_ms: u32) -> Setup {
    Setup::new()
        .sandbox(|org| org.job_duration.base_ms = job_ms)
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "1")
        .env("PURGE__ORGS__DEFAULT__MAX_BATCH", "10")
}

#[tokio::test]
async fn a_paused_purge_begins_nothing_until_it_is_resumed() {
    let test = one_by_one(700).start().await;
    let ids = &test.ids_of(Kind::Eligible)[..30];
    let purge = test.purge(ids).await;
    eventually("upstream has the first job", async || test.calls(Call::Submit, "200") == 1).await;
    let paused = act(&test, purge, "pause").await;
    assert_eq!(paused["state"], "paused", "{paused}");
    let quiet_at = time_in(&paused["quietAt"]);
    // The live job ends, and another purge has its turn: the engine has looked around since.
    let body = test.purge_when(purge, |body| body["counts"]["submitted"] == 0).await;
    let carried = body["counts"]["purged"].as_u64().unwrap();
    let other = test.purge(&test.ids_of(Kind::Eligible)[40..45]).await;
    assert_eq!(test.finished(other).await["state"], "completed");
    let body = test.get(&format!("/purges/{purge}")).await;
    assert_eq!((&body["state"], &body["counts"]["purged"]), (&json!("paused"), &json!(carried)), "{body}");
    assert!(ids.iter().flat_map(|&id| submits(&test, id)).all(|at| at <= quiet_at));

    let resumed = act(&test, purge, "resume").await;
    assert_eq!((&resumed["state"], &resumed["quietAt"]), (&json!("running"), &json!(null)), "{resumed}");
    assert_eq!(test.finished(purge).await["counts"]["purged"], 30);
    let types: Vec<_> = history(&test, purge).await.into_iter().map(|(event, ..)| event).collect();
    let steered: Vec<_> =
        types.iter().filter(|event| event.contains("paused") || event.contains("resumed")).collect();
    assert_eq!(steered, ["purge_paused", "purge_resumed"]);
    test.assert_no_breach();
    assert_books(&test).await;
}

#[tokio::test]
async fn a_purge_that_was_paused_before_it_began_is_queued_again() {
    let mut test = Setup::new().role(Role::Api).start().await;
    let ids = test.ids_of(Kind::Eligible);
    let (purge, other) = (test.purge(&ids[..3]).await, test.purge(&ids[3..6]).await);
    assert_eq!(act(&test, purge, "pause").await["state"], "paused");
    test.stop_service().await;
    test.start_service().await;
    assert_eq!(test.finished(other).await["counts"]["purged"], 3, "the others go on");
    let body = test.get(&format!("/purges/{purge}")).await;
    assert_eq!((&body["state"], &body["startedAt"]), (&json!("paused"), &json!(null)), "{body}");
    assert_eq!(act(&test, purge, "resume").await["state"], "queued");
    assert_eq!(test.finished(purge).await["counts"]["purged"], 3);
    assert_books(&test).await;
}

#[tokio::test]
async fn the_last_settlement_ends_even_a_paused_purge() {
    let test = Setup::new().sandbox(|org| org.job_duration.base_ms = 800).start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..3]).await;
    eventually("upstream has the job", async || test.calls(Call::Submit, "200") == 1).await;
    act(&test, purge, "pause").await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["counts"]["purged"]), (&json!("completed"), &json!(3)), "{body}");
    assert_books(&test).await;
}

#[tokio::test]
async fn a_pause_takes_the_purge_out_of_waiting_jobs_so_that_others_may_have_its_ids() {
    let test = TestService::start().await;
    let ids = &test.ids_of(Kind::Eligible)[..4];
    let paused = packed(&test, json!({ "conversationIds": ids })).await;
    act(&test, paused, "pause").await;
    assert_eq!(test.number("select count(*) from reservations").await, 0);
    let other = test.purge(ids).await;
    assert_eq!(test.finished(other).await["counts"]["purged"], 4, "it did not wait for the paused one");
    act(&test, paused, "resume").await;
    let body = test.finished(paused).await;
    assert_eq!(
        (&body["state"], &body["counts"]["already_purged"]),
        (&json!("completed"), &json!(4)),
        "{body}"
    );
    test.assert_purged_once(ids);
    assert_books(&test).await;
}

/// While facts can't be asked, the one try a minute asks for facts if anybody needs some, else it submits. A paused
/// purge needs none.
#[tokio::test]
async fn the_questions_of_a_paused_purge_do_not_keep_a_blocked_org_blocked() {
    let test = TestService::start().await;
    let ids = test.ids_of(Kind::Eligible);
    let other = packed(&test, json!({ "conversationIds": ids[..3] })).await;
    let many: Vec<_> = (0..2000).map(uuid::Uuid::from_u128).collect();
    // Slow answers, so that the pause comes before its end.
    test.fault(json!({ "call": "details", "fault": { "delayMs": 300 } }));
    let paused = test.purge(&many).await;
    act(&test, paused, "pause").await;
    test.purge_when(paused, |body| body["state"] == "paused").await;
    test.sql(
        "update orgs set blocked_call = 'details', blocked_code = 'forbidden', blocked_detail = 'staged',
             blocked_at = clock_timestamp(), probe_at = clock_timestamp()",
    )
    .await;
    assert_eq!(test.finished(other).await["counts"]["purged"], 3);
    let paused = test.get(&format!("/purges/{paused}")).await;
    assert_eq!(
        (&paused["state"], &paused["counts"]["pending"]),
        (&json!("paused"), &json!(2000)),
        "{paused}"
    );
}
