//! Roles apart: `api` takes requests and calls nobody, `worker` works and takes no requests.

use genesys_purge::sandbox::Kind;
use nix::sys::signal::Signal;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::worker;
use crate::support::TestService;
use crate::support::budget::calls;
use crate::support::process::Serving;

#[tokio::test]
async fn an_api_process_and_workers_do_the_work_of_one_together() {
    let mut test = TestService::start().await;
    test.stop_service().await;
    let api = Serving::start(test.serve(&["--role", "api"])).await;
    test.url.clone_from(&api.url);
    let ids = test.ids_of(Kind::Eligible);
    let purge = test.purge(&ids[..5]).await;
    let first = worker(&test).await;
    for path in ["/purges", "/holds", "/orgs"] {
        let refused = first.request(&test.key, Method::GET, path).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::NOT_FOUND, "{path} of a worker");
    }
    let ready = first.request("", Method::GET, "/health/ready").send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
    assert_eq!(test.finished(purge).await["state"], "completed", "what was accepted before it came is found");
    assert_eq!(first.end(Signal::SIGTERM).await, Some(0));

    let before = calls(&test).len();
    let (status, hold) = test.post("/holds", &json!({ "matter": "m", "conversationIds": ids[5..6] })).await;
    assert_eq!(status, StatusCode::CREATED, "{hold}");
    let purge = test.purge(&ids[5..10]).await;
    assert_eq!(test.get(&format!("/purges/{purge}?wait=1")).await["state"], "queued");
    assert_eq!(calls(&test).len(), before, "without a worker nobody calls");
    let workers = [worker(&test).await, worker(&test).await];
    let ended = test.finished(purge).await;
    assert_eq!((&ended["counts"]["purged"], &ended["counts"]["on_hold"]), (&json!(4), &json!(1)), "{ended}");
    test.assert_untouched(&ids[5..6]);
    assert_eq!(api.end(Signal::SIGTERM).await, Some(0));
    for worker in workers {
        assert_eq!(worker.end(Signal::SIGTERM).await, Some(0));
    }
}
