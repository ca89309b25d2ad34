//! The main job: from a request to verified deletion and delivered webhooks.

use genesys_purge::sandbox::{Call, Kind};
use serde_json::json;

use crate::support::TestService;

#[tokio::test]
async fn three_ids_by_json_are_purged_verified_and_told_of() {
    let test = TestService::start().await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let purge =
        test.purge_with(json!({ "conversationIds": ids, "reason": "GDPR", "reference": "CASE-7" })).await;

    let body = test.finished(purge).await;
    assert_eq!(body["state"], "completed", "{body}");
    assert_eq!(body["counts"]["purged"], 3);
    assert_eq!(body["counts"]["total"], 3);
    for id in ids {
        assert!(test.sandbox.sandbox().conversation(*id).unwrap().deleted_at.is_some());
    }
    for row in test.conversations(purge).await {
        assert_eq!(row["outcome"], "purged");
        assert_eq!(row["code"], "gone");
        assert!(row["jobId"].is_string(), "{row}");
    }

    let hooks = test.receiver.wait_for(2, |_| true).await;
    assert!(hooks.iter().all(|hook| hook.is_verified));
    let job = hooks.iter().find(|hook| hook.event() == "purge_job_completed").unwrap();
    assert_eq!(job.body["recordsProcessed"], 3);
    assert_eq!(job.body["purgeId"], json!(purge));
    let done = hooks.iter().find(|hook| hook.event() == "purge_completed").unwrap();
    assert_eq!(done.body["reference"], "CASE-7");
    assert_eq!(done.body["counts"]["purged"], 3);
    assert_eq!(test.calls(Call::Submit, "200"), 1);
    test.assert_no_breach();
}
