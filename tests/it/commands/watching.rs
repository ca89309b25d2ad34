//! `purge watch`: by the stream of the purge if there is one, else by polling.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::timeout;

use super::fake::Fake;
use super::shell::Shell;
use crate::support::Setup;
use crate::support::postgres::new_id;
use crate::support::process::LONG;

#[tokio::test]
async fn a_watch_listens_and_asks_again_when_it_was_told_something() {
    let test = Setup::new().env("PURGE__ENGINE__PAUSED", "true").start().await;
    let purge = test.purge_with(json!({ "conversationIds": [new_id()()] })).await;
    let (shell, id) = (Shell::of(&test), purge.to_string());
    let began = Instant::now();
    let watch = shell.command(&["watch", &id]).spawn().unwrap();
    test.wait_until("it listens", async || test.counted("genesys_purge_streams", "of=\"purge\"").await == 1)
        .await;
    let asked = async || test.counted("genesys_purge_http_requests_total", "route=\"/purges/{id}\"").await;
    // The history, and how it stands, were told at once.
    test.wait_until("it has asked again", async || asked().await >= 2).await;
    let (status, _) = test.post(&format!("/purges/{id}/cancel"), &json!({})).await;
    assert_eq!(status, 200);
    let output = timeout(LONG, watch.wait_with_output()).await.unwrap().unwrap();
    shell.said(&output).assert(4, &["canceled: 1 conversation"]);
    // Twice a second at most, by what it is told; it was told four things.
    let most = 6 + u64::from(u32::try_from(began.elapsed().as_secs() / 5).unwrap());
    assert!(asked().await <= most, "it asks without having been told: {}", asked().await);
    test.wait_until("nobody listens", async || {
        test.counted("genesys_purge_streams", "of=\"purge\"").await == 0
    })
    .await;
}

#[tokio::test]
async fn where_there_is_no_stream_a_watch_asks_once_a_second() {
    let id = new_id()();
    let purge = |state: &str, open: u64| {
        let counts = json!({ "total": 1, "duplicates": 0, "pending": open, "purged": 1 - open });
        (200, json!({ "id": id, "state": state, "counts": counts, "progress": {}, "blockedReason": null }))
    };
    let refused = (406, json!({ "code": "not_acceptable", "detail": "no streams here" }));
    let fake = Fake::start([purge("running", 1), refused, purge("running", 1), purge("completed", 0)]).await;
    let began = Instant::now();
    Shell::new(&fake.url, "gpk_key")
        .run(&["watch", &id.to_string()])
        .await
        .assert(0, &["completed: 1 conversation"]);
    assert_eq!(fake.asked().len(), 4, "it does not try the stream each time");
    assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
}
