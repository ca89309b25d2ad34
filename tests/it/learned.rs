//! Findings of one purge about an id apply to every other purge of the org, at whatever step it is.

use genesys_purge::sandbox::{Call, Kind};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::trouble::endings;
use crate::support::{Setup, TestService};

/// One slot, which the first purge keeps for a while.
async fn with_a_taken_slot() -> (TestService, Vec<Uuid>, Uuid) {
    let setup = Setup::new().env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "1");
    let test = setup.sandbox(|org| org.job_duration.base_ms = 3000).start().await;
    let ids = test.ids_of(Kind::Eligible);
    let first = test.purge(&ids[..1]).await;
    test.wait_until("the slot is taken", async || test.calls(Call::Submit, "200") == 1).await;
    (test, ids[1..].to_vec(), first)
}

async fn waits_with(test: &TestService, ids: &[Uuid]) -> Uuid {
    let purge = test.purge(ids).await;
    test.purge_when(purge, |body| body["counts"]["eligible"] == ids.len()).await;
    purge
}

async fn hold(test: &TestService, ids: &[Uuid]) -> Value {
    test.post("/holds", &json!({ "matter": "M-1", "conversationIds": ids })).await.1
}

#[tokio::test]
async fn what_any_purge_saw_protected_is_asked_again_before_it_is_submitted() {
    for kind in [Kind::Held, Kind::Young, Kind::Active] {
        let (test, ids, _) = with_a_taken_slot().await;
        let waiting = waits_with(&test, &ids[..2]).await;
        test.sandbox.sandbox().set_kind(ids[0], kind).unwrap();
        // A dry run is enough to know.
        let seen = test.purge_with(json!({ "conversationIds": [ids[0]], "dryRun": true })).await;
        assert_eq!(test.finished(seen).await["counts"]["would_purge"], 0, "{kind:?}");

        let ended = test.finished(waiting).await["counts"].clone();
        assert_eq!(ended["purged"], 1, "{kind:?}: {ended}");
        assert_eq!(test.calls(Call::Submit, "409"), 0, "{kind:?}: upstream had nothing to refuse");
        test.assert_untouched(&ids[..1]);
        test.assert_no_breach();
        test.end().await;
    }
}

#[tokio::test]
async fn what_a_look_after_a_job_saw_protected_is_asked_again_before_another_purge_names_it() {
    let setup = Setup::new()
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "1")
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "3s");
    let setup = setup.sandbox(|org| (org.failed_share, org.job_duration.base_ms) = (1.0, 2000));
    let test = setup.start().await;
    let ids = &test.ids_of(Kind::Eligible)[..1];
    let first = test.purge(ids).await;
    test.wait_until("the slot is taken", async || test.calls(Call::Submit, "200") == 1).await;
    let paused = waits_with(&test, ids).await;
    test.post(&format!("/purges/{paused}/pause"), &Value::Null).await;
    test.wait_until("the job has left it there", async || {
        test.number("select count(*) from jobs where state = 'verifying'").await == 1
    })
    .await;
    test.sandbox.sandbox().set_kind(ids[0], Kind::Held).unwrap();
    assert_eq!(test.endings_when_final(first).await, endings([("on_hold upstream_legal_hold", 1)]));

    // Its facts are young, and from before.
    test.request(reqwest::Method::POST, &format!("/purges/{paused}/resume")).send().await.unwrap();
    assert_eq!(test.endings_when_final(paused).await, endings([("on_hold upstream_legal_hold", 1)]));
    assert_eq!(test.calls(Call::Submit, "409"), 0, "upstream had nothing to refuse");
}

#[tokio::test]
async fn what_is_known_to_be_gone_is_never_reported_as_held() {
    let (test, ids, _) = with_a_taken_slot().await;
    let paused = waits_with(&test, &ids[..1]).await;
    test.post(&format!("/purges/{paused}/pause"), &Value::Null).await;
    let purged = test.purge(&ids[..1]).await;
    assert_eq!(test.endings_when_final(purged).await, endings([("purged gone", 1)]));
    let hold = hold(&test, &ids[..1]).await;
    assert_eq!(hold["tooLate"], json!([ids[0]]), "{hold}");
    test.request(reqwest::Method::POST, &format!("/purges/{paused}/resume")).send().await.unwrap();
    assert_eq!(test.endings_when_final(paused).await, endings([("already_purged gone", 1)]));
    test.assert_purged_once(&ids[..1]);
}

#[tokio::test]
async fn an_answer_that_was_on_its_way_while_another_purge_saw_the_id_gone_is_asked_again() {
    let test = TestService::start().await;
    let ids = &test.ids_of(Kind::Eligible)[..1];
    // The first answer tells of the conversation as it was, and comes when it is gone and a hold names it.
    test.fault(json!({ "call": "details", "times": 1, "when": "after", "fault": { "delayMs": 2500 } }));
    let slow = test.purge(ids).await;
    test.wait_until("the slow question", async || {
        test.number("select count(*) from slices where state = 'validating'").await == 1
    })
    .await;
    let quick = test.purge(ids).await;
    assert_eq!(test.endings_when_final(quick).await, endings([("purged gone", 1)]));
    let hold = hold(&test, ids).await;
    assert_eq!(hold["tooLate"], json!(ids), "{hold}");
    assert_eq!(test.get(&format!("/purges/{slow}")).await["counts"]["pending"], 1, "it has no answer yet");

    assert_eq!(test.endings_when_final(slow).await, endings([("already_purged gone", 1)]));
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn a_hold_names_what_is_gone_whoever_deleted_it_and_goes_on_naming_it() {
    let test = Setup::new().sandbox(|org| org.shares.deleted = 0.2).start().await;
    let (gone, kept) = (test.ids_of(Kind::Deleted)[0], test.ids_of(Kind::Eligible)[0]);
    let purge = test.purge(&[gone]).await;
    assert_eq!(test.endings_when_final(purge).await, endings([("already_purged gone", 1)]));

    let made = hold(&test, &[gone, kept]).await;
    assert_eq!(made["tooLate"], json!([gone]), "{made}");
    let read = test.get(&format!("/holds/{}", made["id"].as_str().unwrap())).await;
    assert_eq!(read["tooLate"], json!([gone]), "{read}");
}
