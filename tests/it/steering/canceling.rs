//! Cancel: conversations that were not submitted end canceled; submitted ones run to their end and count.

use genesys_purge::app::Role;
use genesys_purge::sandbox::{Call, Kind};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::{act, history, job_waits, packed, submits, time_in};
use crate::support::books::{assert_books, eventually};
use crate::support::problem::refused;
use crate::support::trouble::endings;
use crate::support::{Setup, TestService};

#[tokio::test]
async fn a_purge_that_was_not_begun_ends_canceled_without_a_call() {
    let mut test = Setup::new().role(Role::Api).start().await;
    // More slices than one sweep takes.
    let ids: Vec<Uuid> = (0..21_000).map(Uuid::from_u128).collect();
    let purge = test.purge(&ids).await;
    let body = act(&test, purge, "cancel").await;
    assert_eq!((&body["state"], &body["counts"]["pending"]), (&json!("canceling"), &json!(21_000)), "{body}");
    assert!(time_in(&body["quietAt"]) >= time_in(&body["createdAt"]));
    let again = act(&test, purge, "cancel").await;
    assert_eq!(again["state"], "canceling", "canceling again is no error: {again}");

    test.stop_service().await;
    test.start_service().await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["counts"]["canceled"]), (&json!("canceled"), &json!(21_000)), "{body}");
    assert_eq!(test.endings(purge).await, endings([("canceled purge_canceled", 21_000)]));
    let calls = [Call::Details, Call::Submit].map(|call| test.log(call).len());
    assert_eq!(calls, [0, 0], "nothing was asked, nothing submitted");
    let engine = |event: &str| (event.to_owned(), "engine".to_owned(), None);
    let history = history(&test, purge).await;
    assert_eq!(history[1], ("purge_canceling".to_owned(), "tester".to_owned(), Some("cancel-1".to_owned())));
    assert_eq!(history[2..], [engine("purge_canceled")], "one cancel, one end");
    let hooks = test.receiver.wait_for(1, |hook| hook.event() == "purge_canceled").await;
    assert_eq!(
        (&hooks[0].body["purgeId"], &hooks[0].body["counts"]["canceled"]),
        (&json!(purge), &json!(21_000))
    );
    refused(test.request(Method::POST, &format!("/purges/{purge}/cancel")), 409, "wrong_state").await;
}

#[tokio::test]
async fn live_jobs_of_a_canceled_purge_run_to_their_end_and_count() {
    let test = Setup::new()
        .sandbox(|org| org.job_duration.base_ms = 1500)
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "1")
        .env("PURGE__ORGS__DEFAULT__MAX_BATCH", "10")
        .start()
        .await;
    let ids = &test.ids_of(Kind::Eligible)[..60];
    let purge = test.purge(ids).await;
    eventually("upstream has the first job", async || test.calls(Call::Submit, "200") == 1).await;
    let body = act(&test, purge, "cancel").await;
    assert_eq!(body["state"], "canceling", "{body}");
    let quiet_at = time_in(&body["quietAt"]);
    let body = test.finished(purge).await;
    let counts = &body["counts"];
    assert_eq!(
        (&body["state"], &counts["purged"], &counts["canceled"]),
        (&json!("canceled"), &json!(10), &json!(50))
    );
    assert_eq!(test.calls(Call::Submit, "200"), 1);
    assert!(ids.iter().flat_map(|&id| submits(&test, id)).all(|at| at <= quiet_at));
    test.assert_no_breach();
    assert_books(&test).await;
}

#[tokio::test]
async fn a_cancel_takes_the_purge_out_of_waiting_jobs_at_once() {
    let test = TestService::start().await;
    let ids = test.ids_of(Kind::Eligible);
    let purge = packed(&test, json!({ "conversationIds": ids[..10] })).await;
    act(&test, purge, "cancel").await;
    assert_eq!(
        test.number("select count(*) from reservations").await,
        0,
        "their ids are free from the answer on"
    );
    assert_eq!(test.number("select count(*) from jobs where result = 'withdrawn'").await, 1);
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["counts"]["canceled"]), (&json!("canceled"), &json!(10)), "{body}");
    test.assert_untouched(&ids[..10]);
    assert_books(&test).await;
}

#[tokio::test]
async fn the_others_of_a_waiting_job_go_on_without_a_canceled_purge() {
    let mut test = Setup::new().role(Role::Api).start().await;
    let ids = test.ids_of(Kind::Eligible);
    // Packed together, and one waits for an id of the other.
    let (canceled, other) = (test.purge(&ids[..6]).await, test.purge(&ids[5..12]).await);
    test.fault(json!({ "call": "submit", "times": 1, "fault": { "retryAfter": "3" } }));
    test.stop_service().await;
    test.start_service().await;
    job_waits(&test).await;
    assert_eq!(test.number("select count(*) from waiters").await, 1);
    act(&test, canceled, "cancel").await;
    let body = test.finished(canceled).await;
    assert_eq!((&body["state"], &body["counts"]["canceled"]), (&json!("canceled"), &json!(6)), "{body}");
    let body = test.finished(other).await;
    assert_eq!((&body["state"], &body["counts"]["purged"]), (&json!("completed"), &json!(7)), "{body}");
    test.assert_untouched(&ids[..5]);
    test.assert_purged_once(&ids[5..12]);
    assert_books(&test).await;
}

#[tokio::test]
async fn conversations_that_wait_for_another_purges_job_are_canceled_without_it() {
    let test = Setup::new().sandbox(|org| org.job_duration.base_ms = 2000).start().await;
    let ids = &test.ids_of(Kind::Eligible)[..4];
    let first = test.purge(ids).await;
    eventually("upstream has the job", async || test.calls(Call::Submit, "200") == 1).await;
    let second = test.purge(ids).await;
    eventually("they wait", async || test.number("select count(*) from waiters").await == 4).await;
    act(&test, second, "cancel").await;
    let body = test.finished(second).await;
    assert_eq!((&body["state"], &body["counts"]["canceled"]), (&json!("canceled"), &json!(4)), "{body}");
    assert_eq!(test.get(&format!("/purges/{first}")).await["state"], "running", "nobody waited for its job");
    assert_eq!(test.finished(first).await["counts"]["purged"], 4);
    assert_books(&test).await;
}

#[tokio::test]
async fn what_comes_back_from_a_live_job_has_failed() {
    let test = Setup::new()
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "100ms")
        .sandbox(|org| {
            org.failed_share = 1.0;
            org.job_duration.base_ms = 800;
        })
        .start()
        .await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let purge = test.purge(ids).await;
    eventually("upstream has the job", async || test.calls(Call::Submit, "200") == 1).await;
    act(&test, purge, "cancel").await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["counts"]["failed"]), (&json!("canceled"), &json!(3)), "{body}");
    assert_eq!(test.calls(Call::Submit, "200"), 1, "it did not go again");
    assert_books(&test).await;
}

#[tokio::test]
async fn a_definite_no_after_the_cancel_leaves_nothing_submitted_even_where_the_org_is_blocked() {
    let test = TestService::start().await;
    test.fault(json!({ "call": "submit", "times": 1, "fault": { "status": 403, "delayMs": 700 } }));
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let purge = test.purge(ids).await;
    eventually("the submit is on its way", async || {
        test.number("select count(*) from jobs where state = 'submitting'").await == 1
    })
    .await;
    act(&test, purge, "cancel").await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["counts"]["canceled"]), (&json!("canceled"), &json!(3)), "{body}");
    test.assert_untouched(ids);
    assert_books(&test).await;
}

#[tokio::test]
async fn a_lost_submit_of_a_canceled_purge_is_looked_into_and_never_goes_again() {
    for (is_done, outcome) in [("after", "purged"), ("before", "failed")] {
        let test = TestService::start().await;
        let fault = json!({ "call": "submit", "times": 1, "fault": { "reset": is_done, "delayMs": 500 } });
        test.fault(fault);
        let ids = &test.ids_of(Kind::Eligible)[..3];
        let purge = test.purge(ids).await;
        eventually("the submit is on its way", async || {
            test.number("select count(*) from jobs where state = 'submitting'").await == 1
        })
        .await;
        act(&test, purge, "cancel").await;
        let body = test.finished(purge).await;
        assert_eq!((&body["state"], &body["counts"][outcome]), (&json!("canceled"), &json!(3)), "{body}");
        assert_eq!(test.log(Call::Submit).len(), 1, "{is_done}");
        assert_books(&test).await;
    }
}

#[tokio::test]
async fn paused_purges_and_dry_runs_can_be_canceled() {
    let mut test = Setup::new().role(Role::Api).start().await;
    let ids = test.ids_of(Kind::Eligible);
    let paused = test.purge(&ids[..3]).await;
    act(&test, paused, "pause").await;
    let dry = test.purge_with(json!({ "conversationIds": ids[..3], "dryRun": true })).await;
    for purge in [paused, dry] {
        act(&test, purge, "cancel").await;
    }
    test.stop_service().await;
    test.start_service().await;
    for purge in [paused, dry] {
        let body = test.finished(purge).await;
        assert_eq!((&body["state"], &body["counts"]["canceled"]), (&json!("canceled"), &json!(3)), "{body}");
    }
    test.assert_untouched(&ids[..3]);
}
