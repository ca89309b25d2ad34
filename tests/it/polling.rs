//! What polls tell, and what they do not.

use genesys_purge::sandbox::{Call, Kind};
use serde_json::json;

use crate::support::Setup;
use crate::support::trouble::{endings, strikes};

#[tokio::test]
async fn a_job_is_lost_after_three_404s_in_a_row_and_not_after_three_among_others() {
    let setup = Setup::new().sandbox(|org| org.job_duration.base_ms = 9000);
    let test = setup.env("PURGE__ENGINE__POLL_MAX", "500ms").start().await;
    for status in [404, 504, 404, 504, 404] {
        test.fault(strikes("poll", 1, &json!({ "status": status })));
    }
    let ids = &test.ids_of(Kind::Eligible)[..2];
    let purge = test.purge(ids).await;
    assert_eq!(test.endings_when_final(purge).await, endings([("purged gone", 2)]));
    assert_eq!((test.calls(Call::Poll, "404"), test.calls(Call::Poll, "504")), (3, 2));
    assert_eq!(test.jobs(purge).await[0]["result"], "completed");
    assert_eq!(test.log(Call::Submit).len(), 1);
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn the_last_number_of_records_that_was_told_is_reported() {
    let test = Setup::new().start().await;
    let running = json!({ "state": "inProgress", "recordsProcessed": 3 }).to_string();
    let ended = json!({ "state": "completed" }).to_string();
    test.fault(strikes("poll", 1, &json!({ "status": 200, "body": running })));
    test.fault(strikes("poll", 1, &json!({ "status": 200, "body": ended })));
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..3]).await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    let hooks = test.receiver.wait_for(1, |hook| hook.event() == "purge_job_completed").await;
    assert_eq!(hooks[0].body["recordsProcessed"], 3, "{hooks:#?}");
}
