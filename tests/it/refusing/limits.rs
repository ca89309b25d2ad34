//! Bodies that are too large or of a type that is not taken, and a spool folder that can't be used.

use bytes::Bytes;
use reqwest::{Body, Method};
use serde_json::json;

use super::Desk;
use crate::support::Setup;
use crate::support::problem::refused;

const ID: &str = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427";

#[tokio::test]
async fn bodies_over_the_limits_are_refused_however_they_come() {
    let limits = Setup::new().env("PURGE__INTAKE__MAX_JSON", "64 KiB").env("PURGE__INTAKE__MAX_IDS", "5");
    let desk = Desk::with(limits).await;
    let post = |path: &str| desk.test.request(Method::POST, path).header("content-type", "application/json");
    let streamed = |bytes: usize| {
        let chunks = (0..bytes / 8192).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 8192])));
        Body::wrap_stream(futures_util::stream::iter(chunks))
    };
    // One byte too many, and so many that the client is still sending when the answer leaves.
    for path in ["/purges", "/holds"] {
        for body in [" ".repeat(64 * 1024 + 1).into(), " ".repeat(40_000_000).into(), streamed(40_000_000)] {
            let body: Body = body;
            let problem = refused(post(path).body(body), 413, "body_too_large").await;
            assert!(problem["detail"].as_str().unwrap().contains("65536 bytes"), "{problem}");
        }
    }
    let lines = |number: usize| format!("{ID}\n").repeat(number);
    let quoted = |number: usize| format!("\"{ID}\"\n").repeat(number);
    let refusals = [
        desk.test.upload("text/csv", "", lines(6)),
        desk.test.upload("text/csv", "", lines(1_000_000)),
        desk.test.upload("application/x-ndjson", "", quoted(6)),
        post("/purges").body(json!({ "conversationIds": vec![ID; 6] }).to_string()),
    ];
    for request in refusals {
        let problem = refused(request, 413, "too_many_ids").await;
        assert!(problem["detail"].as_str().unwrap().contains('5'), "{problem}");
    }
    desk.assert_left_nothing().await;
    for request in [
        desk.test.upload("text/csv", "", lines(5)),
        post("/purges").body(json!({ "conversationIds": vec![ID; 5] }).to_string()),
    ] {
        assert_eq!(request.send().await.unwrap().status(), 202, "exactly the limit is taken");
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_with_the_types_that_are_taken() {
    let desk = Desk::open().await;
    let purge = json!({ "conversationIds": [ID] }).to_string();
    let types = [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/xml"),
        Some("multipart/form-data; boundary=x"),
        Some("application/jsonp"),
        Some("application/vnd.ms-excel"),
        Some(""),
        Some(";"),
    ];
    for media_type in types {
        for (path, taken) in [("/purges", "application/x-ndjson"), ("/holds", "application/json")] {
            let request = desk.test.request(Method::POST, path).body(purge.clone());
            let request =
                media_type.iter().fold(request, |request, value| request.header("content-type", *value));
            let problem = refused(request, 415, "unsupported_media_type").await;
            assert!(problem["detail"].as_str().unwrap().contains(taken), "{media_type:?}: {problem}");
        }
    }
    for media_type in ["text/csv", "application/x-ndjson"] {
        let request = desk.test.request(Method::POST, "/holds").header("content-type", media_type).body(ID);
        refused(request, 415, "unsupported_media_type").await;
    }
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn a_coding_that_is_not_gzip_is_refused_with_the_one_that_is_taken() {
    let desk = Desk::open().await;
    for media_type in ["text/csv", "application/json", "application/x-ndjson"] {
        for coding in ["br", "deflate", "zstd", "gzip, gzip"] {
            let request = || desk.test.upload(media_type, "", ID).header("content-encoding", coding);
            let problem = refused(request(), 415, "unsupported_encoding").await;
            assert!(problem["detail"].as_str().unwrap().contains("Content-Encoding"), "{problem}");
            assert_eq!(request().send().await.unwrap().headers()["accept-encoding"], "gzip");
        }
    }
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn without_a_spool_folder_uploads_are_refused_and_json_still_comes_through() {
    let desk = Desk::with(Setup::new()).await;
    std::fs::remove_dir(desk.spool.path()).unwrap();
    refused(desk.test.upload("text/csv", "", ID), 503, "unavailable").await;
    std::fs::create_dir(desk.spool.path()).unwrap();
    desk.assert_left_nothing().await;
    assert_eq!(desk.test.upload("text/csv", "", ID).send().await.unwrap().status(), 202);
}
