//! A purge with too many ids unknown upstream: it pauses itself, once, and says why.

use genesys_purge::sandbox::{Kind, Shares};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::Setup;
use crate::support::books::assert_books;
use crate::support::trouble::endings;

/// Half of the organization is not known to it.
fn half_unknown() -> Setup {
    Setup::new()
        .sandbox(|settings| settings.shares = Shares { eligible: 0.5, unknown: 0.5, ..Shares::none() })
        .env("PURGE__ORGS__DEFAULT__DETAILS_BATCH", "10")
        .env("PURGE__ENGINE__NOT_FOUND_FROM", "10")
}

#[tokio::test]
async fn a_purge_of_which_most_is_not_found_pauses_itself_and_goes_on_when_it_is_resumed() {
    let test = half_unknown().start().await;
    let (eligible, unknown) = (test.ids_of(Kind::Eligible), test.ids_of(Kind::Unknown));
    let purge = test.purge(&[&eligible[..5], &unknown[..40]].concat()).await;

    let body = test.purge_when(purge, |body| body["state"] == "paused").await;
    let reason = &body["pausedReason"];
    assert_eq!(
        (&reason["code"], &body["blockedReason"]),
        (&json!("not_found_share"), &Value::Null),
        "{body}"
    );
    let detail = reason["detail"].as_str().unwrap();
    assert!(detail.contains("not_found_percent") && detail.contains("divisions"), "{detail}");
    let act = &body["acts"][0];
    assert_eq!(
        (&act["act"], &act["by"], &act["reason"]),
        (&json!("pause"), &json!("engine"), &json!(detail))
    );
    assert!(body["counts"]["pending"].as_i64().unwrap() > 0, "there is something left to hold back: {body}");
    let events = test.get(&format!("/purges/{purge}/events")).await;
    let paused =
        events["items"].as_array().unwrap().iter().find(|event| event["type"] == "purge_paused").unwrap();
    assert_eq!(
        (&paused["payload"]["code"], &paused["payload"]["detail"]),
        (&json!("not_found_share"), &json!(detail))
    );

    let (status, body) = test.post(&format!("/purges/{purge}/resume"), &Value::Null).await;
    assert_eq!((status, &body["pausedReason"]), (StatusCode::OK, &Value::Null), "{body}");
    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 5), ("not_found absent_twice", 40)]));
    assert_eq!(test.number("select count(*) from events where type = 'purge_paused'").await, 1, "once");
    assert_books(&test).await;
}

#[tokio::test]
async fn few_conversations_half_of_them_and_dry_runs_pause_nothing() {
    let test = half_unknown().start().await;
    let (eligible, unknown) = (test.ids_of(Kind::Eligible), test.ids_of(Kind::Unknown));
    let few = test.purge(&unknown[..9]).await;
    let half = test.purge(&[&eligible[..20], &unknown[10..30]].concat()).await;
    let dry = test.purge_with(json!({ "conversationIds": &unknown[..30], "dryRun": true })).await;
    for (purge, not_found) in [(few, 9), (half, 20), (dry, 30)] {
        let body = test.finished(purge).await;
        assert_eq!((&body["state"], &body["counts"]["not_found"]), (&json!("completed"), &json!(not_found)));
    }
    assert_eq!(test.number("select count(*) from events where type = 'purge_paused'").await, 0);
}

#[tokio::test]
async fn a_caller_who_pauses_gives_no_reason() {
    let test = half_unknown().env("PURGE__ENGINE__NOT_FOUND_PERCENT", "100").start().await;
    test.fault(json!({ "call": "details", "fault": { "hang": true } }));
    let purge = test.purge(&test.ids_of(Kind::Unknown)[..30]).await;
    let (status, body) = test.post(&format!("/purges/{purge}/pause"), &Value::Null).await;
    assert_eq!(
        (status, &body["state"], &body["pausedReason"]),
        (StatusCode::OK, &json!("paused"), &Value::Null)
    );
}
