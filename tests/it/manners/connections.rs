//! Slow peers, and too many of them: each delays only itself, and not for ever.

use std::time::Duration;

use genesys_purge::app::Role;
use genesys_purge::sandbox::Kind;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

use super::{Wire, desk, is_held};
use crate::support::problem::refused;
use crate::support::spool::SpoolDir;
use crate::support::{Setup, TestService};

const SHORT: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_head_that_is_not_sent_to_its_end_costs_the_connection() {
    let test = Setup::new().role(Role::Api).connections(|terms| terms.head = SHORT).start().await;
    for beginning in ["", "GET /health/live HTTP/1.1\r\nHost: x\r\n", "PRI * HTTP/2.0\r\n"] {
        let mut wire = Wire::open(&test).await;
        wire.send(beginning).await;
        let rest = wire.rest().await;
        assert!(!rest.starts_with("HTTP/1.1 2"), "{beginning:?}: {rest}");
    }
    // Byte by byte buys no time.
    let mut wire = Wire::open(&test).await;
    wire.send("GET /health/live HTTP/1.1\r\nX-Slow: ").await;
    let dripping = async {
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        loop {
            pause.tick().await;
            if wire.0.write_all(b"x").await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(super::LONG, dripping).await.expect("the slow sender was never cut");
}

#[tokio::test]
async fn a_connection_that_rests_between_requests_is_closed_in_the_end_and_served_before() {
    let test = Setup::new().role(Role::Api).connections(|terms| terms.idle = SHORT).start().await;
    let mut wire = Wire::open(&test).await;
    for _ in 0..2 {
        wire.send("GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        wire.until("{\"status\":\"ok\"}").await;
    }
    assert_eq!(wire.rest().await, "");
}

#[tokio::test]
async fn a_body_that_stalls_is_answered_408_and_leaves_nothing() {
    let spool = SpoolDir::new();
    let test = Setup::new()
        .role(Role::Api)
        .env("PURGE__INTAKE__SPOOL_DIR", spool.path())
        .connections(|terms| terms.stalled = SHORT)
        .start()
        .await;
    let lines: String = (0..100).flat_map(|id| [Uuid::from_u128(id).to_string(), "\n".to_owned()]).collect();
    for (media_type, beginning) in
        [("text/csv", lines.as_str()), ("application/x-ndjson", "\"1b4e"), ("application/json", "{\"conv")]
    {
        let mut wire = Wire::open(&test).await;
        let media_type = format!("Content-Type: {media_type}");
        wire.send_head(&test, "POST /purges", &[&media_type, "Content-Length: 9999999"]).await;
        wire.send(beginning).await;
        let answer = wire.rest().await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{media_type}: {answer}");
        assert!(answer.contains("\"code\":\"request_timeout\""), "{answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
        spool.until(false).await;
    }
    assert_eq!(test.number("select count(*) from purges").await, 0);
}

#[tokio::test]
async fn a_json_body_that_drips_is_given_up_in_the_end() {
    let test = Setup::new().role(Role::Api).connections(|terms| terms.whole = SHORT).start().await;
    let answer = dripped(&test, "application/json").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("the body took longer than"), "{answer}");
}

/// What a body is answered that comes byte by byte, and has no end.
async fn dripped(test: &TestService, media_type: &str) -> String {
    let mut wire = Wire::open(test).await;
    let head = [&format!("Content-Type: {media_type}"), "Content-Length: 9999999"];
    wire.send_head(test, "POST /purges", &head).await;
    let (mut answers, mut body) = wire.0.split();
    let dripping = async {
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        while body.write_all(b" ").await.is_ok() {
            pause.tick().await;
        }
        std::future::pending::<()>().await;
    };
    let mut answer = String::new();
    tokio::select! {
        () = dripping => {}
        read = tokio::time::timeout(super::LONG, answers.read_to_string(&mut answer)) => {
            read.expect("the slow sender was never answered").unwrap();
        }
    }
    answer
}

#[tokio::test]
async fn a_body_that_drips_is_given_up_long_before_an_upload_is_too_old() {
    let spool = SpoolDir::new();
    let setup = Setup::new().role(Role::Api).env("PURGE__INTAKE__SPOOL_DIR", spool.path());
    let setup = setup.env("PURGE__INTAKE__MIN_RATE", "1 KiB").connections(|terms| terms.stalled = SHORT);
    let test = setup.start().await;
    for media_type in ["text/csv", "application/json"] {
        let answer = dripped(&test, media_type).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{media_type}: {answer}");
        assert!(answer.contains("slower than 1024 bytes a second for 400ms (intake.min_rate)"), "{answer}");
    }
    spool.until(false).await;
}

#[tokio::test]
async fn an_upload_that_never_ends_is_given_up_in_the_end() {
    let spool = SpoolDir::new();
    let setup = Setup::new().role(Role::Api).env("PURGE__INTAKE__SPOOL_DIR", spool.path());
    let setup = setup.env("PURGE__INTAKE__MIN_RATE", "0").env("PURGE__INTAKE__UPLOAD_TIMEOUT", "700ms");
    let test = setup.start().await;
    let answer = dripped(&test, "text/csv").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("the upload took longer than 700ms (intake.upload_timeout)"), "{answer}");
    spool.until(false).await;
    assert_eq!(test.number("select count(*) from purges").await, 0);
}

#[tokio::test]
async fn large_json_bodies_leave_room_for_all_that_protects() {
    let test = Setup::new()
        .role(Role::Api)
        .env("PURGE__SERVER__REQUEST_TIMEOUT", "500ms")
        .connections(|terms| terms.large_bodies = 1)
        .start()
        .await;
    let spaces = " ".repeat(100_000);
    let body = format!("{{\"conversationIds\":[\"{}\"]{spaces}}}", Uuid::from_u128(1));
    let head = ["Content-Type: application/json".to_owned(), format!("Content-Length: {}", body.len())];
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut slow = Wire::open(&test).await;
    slow.send_head(&test, "POST /purges", &head).await;
    slow.send(&body[..80_000]).await;
    // It has its place once another one finds none.
    let large = async || {
        let request = test.request(Method::POST, "/purges").header(CONTENT_TYPE, "application/json");
        request.body(body.clone()).send().await.unwrap().status()
    };
    test.wait_until("the only place is taken", async || large().await == StatusCode::SERVICE_UNAVAILABLE)
        .await;

    let purge = test.purge(&[Uuid::from_u128(2)]).await;
    let ids: Vec<Uuid> = (0..2_000).map(Uuid::from_u128).collect();
    let (status, hold) = test.post("/holds", &json!({ "matter": "M", "conversationIds": ids })).await;
    assert_eq!(status, StatusCode::CREATED, "{hold}");
    for path in [format!("/purges/{purge}/pause"), "/orgs/default/stop".to_owned()] {
        let mut wire = Wire::open(&test).await;
        let head = ["Transfer-Encoding: chunked", "Content-Type: application/json", "Connection: close"];
        wire.send_head(&test, &format!("POST {path}"), &head).await;
        wire.send("2\r\n{}\r\n0\r\n\r\n").await;
        assert!(wire.rest().await.starts_with("HTTP/1.1 200 "), "{path}");
    }
    slow.send(&body[80_000..]).await;
    slow.until("HTTP/1.1 202 ").await;
    assert_eq!(large().await, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn so_many_uploads_are_spooled_at_once() {
    let test = Setup::new()
        .role(Role::Api)
        .env("PURGE__SERVER__REQUEST_TIMEOUT", "500ms")
        .connections(|terms| terms.uploads = 1)
        .start()
        .await;
    let line = format!("{}\n", Uuid::from_u128(1));
    let length = format!("Content-Length: {}", line.len());
    let mut slow = Wire::open(&test).await;
    // The service asks for a body once it has room for it.
    let head = ["Content-Type: text/csv", &length, "Expect: 100-continue"];
    slow.send_head(&test, "POST /purges", &head).await;
    slow.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    refused(test.upload("text/csv", "", line.clone()), 503, "unavailable").await;
    test.purge(&[Uuid::from_u128(2)]).await;
    slow.send(&line).await;
    slow.until("HTTP/1.1 202 ").await;
    assert_eq!(test.upload("text/csv", "", line).send().await.unwrap().status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_cut_off() {
    let test = Setup::new().role(Role::Api).connections(|terms| terms.unread = SHORT).start().await;
    // Far more than the buffers of both sides hold.
    let ids: Vec<Uuid> = (0..200_000).map(Uuid::from_u128).collect();
    let purge = test.purge(&ids).await;
    let mut wire = Wire::open(&test).await;
    wire.send_head(&test, &format!("GET /purges/{purge}/report"), &["Accept: application/x-ndjson"]).await;
    // Until the service has hung up, nothing is read: the end of its side shows in the list of connections.
    let port = wire.port();
    test.wait_until("the end of the connection", async || !is_held(&test, Some(port))).await;
    let read = wire.rest().await.matches("conversationId").count();
    assert!(read < ids.len(), "all {read} rows came");
}

#[tokio::test]
async fn connections_that_rest_do_not_keep_the_service_from_stopping() {
    let mut test = desk().await;
    let mut wire = Wire::open(&test).await;
    wire.send("GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    wire.until("{\"status\":\"ok\"}").await;
    let began = std::time::Instant::now();
    test.stop_service().await;
    assert_eq!(wire.rest().await, "");
    assert!(began.elapsed() < Duration::from_secs(4), "it was cut, not closed");
}

#[tokio::test]
async fn an_answer_that_tells_to_stop_sending_arrives() {
    let test = desk().await;
    // Refused before its body is read, while much of it is still to come.
    let body = vec![b'x'; 8 * 1024 * 1024];
    for _ in 0..5 {
        let request = test.client.post(format!("{}/purges", test.url)).header("content-type", "text/csv");
        let response = request.bearer_auth("gpk_unknown").body(body.clone()).send().await.unwrap();
        assert_eq!(response.status(), 401);
    }
    assert_eq!(test.ids_of(Kind::Eligible).len(), 100);
}

#[tokio::test]
async fn a_client_that_closes_its_side_after_its_request_is_answered_or_let_go() {
    let test = desk().await;
    for request in ["GET /health/live", "GET /health/ready", "GET /openapi.yaml"] {
        let mut wire = Wire::open(&test).await;
        wire.send(&format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        tokio::io::AsyncWriteExt::shutdown(&mut wire.0).await.unwrap();
        let answer = wire.rest().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 200 "), "{request}: {answer}");
    }
}
