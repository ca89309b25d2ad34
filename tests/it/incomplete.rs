//! Answers that say that they are incomplete: conversations that they leave out are neither gone nor unknown.

use genesys_purge::sandbox::Kind;
use serde_json::{Value, json};

use crate::support::Setup;
use crate::support::trouble::endings;

#[tokio::test]
async fn what_an_answer_leaves_out_that_is_not_whole_is_asked_again_until_it_is_told() {
    let test = Setup::new().start().await;
    test.fault(json!({ "call": "details", "fault": { "garbage": "incomplete" } }));
    let ids = &test.ids_of(Kind::Eligible)[..4];
    let purge = test.purge(ids).await;

    let body = test.finished(purge).await;
    assert_eq!(body["state"], "completed", "{body}");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 4)]));
    test.assert_all_struck();
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn what_no_whole_answer_ever_told_of_is_not_called_gone() {
    let test = Setup::new()
        .env("PURGE__ENGINE__JOB_DEADLINE", "3s")
        .sandbox(|settings| settings.failed_share = 1.0)
        .start()
        .await;
    let ids = &test.ids_of(Kind::Eligible)[..2];
    let told = json!([{ "conversationId": ids[0], "conversationStatus": "deleted" }]);
    let first = json!({ "data": told, "errors": [{ "conversationId": ids[1] }] });
    let later = json!({ "data": [], "isPartial": "true" });
    // The validation passes.
    let answers = |body: &Value| json!({ "status": 200, "body": body.to_string() });
    test.fault(json!({ "call": "details", "after": 1, "times": 1, "fault": answers(&first) }));
    test.fault(json!({ "call": "details", "after": 2, "fault": answers(&later) }));

    let purge = test.purge(ids).await;
    let body = test.finished(purge).await;
    assert_eq!(body["state"], "failed", "{body}");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 1), ("failed unverified", 1)]));
    test.assert_all_struck();
    let job = &test.jobs(purge).await[0];
    let said = job["lastError"]["message"].as_str().unwrap();
    assert_eq!(said, "the answer is not complete: it has isPartial", "{job}");
}
