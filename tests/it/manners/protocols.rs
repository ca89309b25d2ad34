//! HTTP/1.0, HTTP/1.1 and HTTP/2 by prior knowledge, with what belongs to each.

use genesys_purge::api;
use reqwest::{Client, Method, StatusCode, Version};
use serde_json::Value;

use super::{Wire, desk};

#[tokio::test]
async fn http_2_is_spoken_by_prior_knowledge_many_requests_at_once() {
    let test = desk().await;
    let client = Client::builder().tls_certs_only([]).no_proxy().http2_prior_knowledge().build().unwrap();
    let ask = || client.get(format!("{}/holds", test.url)).bearer_auth(&test.key).send();
    for response in futures_util::future::join_all((0..50).map(|_| ask())).await {
        let response = response.unwrap();
        assert_eq!((response.version(), response.status()), (Version::HTTP_2, StatusCode::OK));
        assert!(response.headers().contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let test = desk().await;
    let mut wire = Wire::open(&test).await;
    wire.send("GET /health/live HTTP/1.0\r\n\r\n").await;
    let answer = wire.rest().await;
    assert!(answer.starts_with("HTTP/1.0 200 ") && answer.ends_with("{\"status\":\"ok\"}"), "{answer}");
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    let test = desk().await;
    let mut wire = Wire::open(&test).await;
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n");
    wire.send(&format!(
        "{}\r\n{}\r\n{}Connection: close\r\n\r\n",
        one("/health/live"),
        one("/nowhere"),
        one("/health/ready")
    ))
    .await;
    let answers = wire.rest().await;
    let statuses: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "404", "200"]);
}

#[tokio::test]
async fn a_body_is_asked_for_where_the_client_waits_for_that() {
    let test = desk().await;
    let mut wire = Wire::open(&test).await;
    let body = r#"{"matter": "M", "conversationIds": ["1b4e28ba-2fa1-4d2b-883f-0016d3cca427"]}"#;
    let length = format!("Content-Length: {}", body.len());
    let lines = ["Content-Type: application/json", &length, "Expect: 100-continue", "Connection: close"];
    wire.send_head(&test, "POST /holds", &lines).await;
    wire.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    wire.send(body).await;
    assert!(wire.rest().await.starts_with("HTTP/1.1 201 "));
}

#[tokio::test]
async fn heads_that_are_too_large_or_make_no_sense_are_refused() {
    let test = desk().await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let wide = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(200));
    for (head, statuses) in [
        (long.as_str(), ["414", "431"]),
        (&wide, ["431", "431"]),
        (&many, ["431", "431"]),
        ("GET / HTTP/9.9\r\n\r\n", ["400", "505"]),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", ["400", "400"]),
        ("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", ["400", "400"]),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", ["400", "400"]),
        (
            "POST /purges HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
            ["400", "400"],
        ),
        ("POST /purges HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", ["400", "400"]),
    ] {
        let mut wire = Wire::open(&test).await;
        wire.send(head).await;
        let answer = wire.rest().await;
        let status = answer.get(9..12).unwrap_or_default();
        assert!(statuses.contains(&status), "{:?}: {answer}", &head[..head.len().min(60)]);
    }
}

#[tokio::test]
async fn where_a_body_ends_can_not_be_told_in_two_ways() {
    let test = desk().await;
    let mut wire = Wire::open(&test).await;
    let lines = ["Content-Type: text/csv", "Content-Length: 5", "Transfer-Encoding: chunked"];
    wire.send_head(&test, "POST /purges", &lines).await;
    wire.send("0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let answers = wire.rest().await;
    assert!(answers.starts_with("HTTP/1.1 4"), "{answers}");
    assert_eq!(test.number("select count(*) from purges").await, 0);
}

/// HEAD tells of every call that reads what GET would, and sends no body; no other method is taken than those that the
/// document lists.
#[tokio::test]
async fn every_path_takes_its_methods_and_tells_them_to_who_tries_another() {
    let test = desk().await;
    let hold = test
        .post("/holds", &serde_json::json!({ "matter": "M", "conversationIds": [uuid::Uuid::nil()] }))
        .await
        .1;
    let purge = test.purge(&[uuid::Uuid::from_u128(1)]).await.to_string();
    let document: Value = serde_json::from_str(&api::document_json().unwrap()).unwrap();
    for (path, calls) in document["paths"].as_object().unwrap() {
        let id = if path.starts_with("/holds") { hold["id"].as_str().unwrap() } else { &purge };
        let id = if path.starts_with("/jobs") { "nothing" } else { id };
        let real = path
            .replace("{id}", id)
            .replace("{org}", "default")
            .replace("{conversationId}", &uuid::Uuid::nil().to_string());
        let mut allowed: Vec<String> =
            calls.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        if allowed.contains(&"GET".to_owned()) {
            allowed.push("HEAD".to_owned());
            let get = test.request(Method::GET, &real).send().await.unwrap();
            let head = test.request(Method::HEAD, &real).send().await.unwrap();
            assert_eq!(head.status(), get.status(), "{path}");
            for name in ["content-type", "cache-control", "etag", "vary"] {
                assert_eq!(head.headers().get(name), get.headers().get(name), "{name} of {path}");
            }
            let length =
                head.headers().get("content-length").map(|length| length.to_str().unwrap().to_owned());
            assert_eq!(head.bytes().await.unwrap().len(), 0, "{path}");
            if let Some(length) = length {
                assert_eq!(length, get.bytes().await.unwrap().len().to_string(), "{path}");
            }
        }
        for method in ["OPTIONS", "TRACE", "DELETE", "PUT", "BREW"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            if allowed.iter().any(|allowed| *allowed == method.as_str()) {
                continue;
            }
            let response = test.request(method.clone(), &real).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            let told = response.headers()["allow"].to_str().unwrap();
            let mut told: Vec<String> = told.split(',').map(|method| method.trim().to_owned()).collect();
            told.sort();
            allowed.sort();
            assert_eq!(told, allowed, "{method} {path}");
        }
    }
}

/// What is left of a body must not be taken for the next request, and the client has to know where it can send that.
#[tokio::test]
async fn a_connection_goes_on_after_a_little_body_that_nobody_read_and_says_so_where_it_does_not() {
    let test = desk().await;
    let mut wire = Wire::open(&test).await;
    for body in ["{}", &"x".repeat(5000)] {
        let length = format!("Content-Length: {}", body.len());
        wire.send_head(&test, "POST /purges", &["Content-Type: text/plain", &length]).await;
        wire.send(body).await;
        let head = wire.until("\r\n\r\n").await.to_lowercase();
        assert!(head.starts_with("http/1.1 415") && !head.contains("connection: close"), "{head}");
        wire.until("}").await;
        wire.send_head(&test, "GET /health/live", &["Transfer-Encoding: chunked"]).await;
        wire.send("3\r\nGET\r\n0\r\n\r\n").await;
        assert!(wire.until("{\"status\":\"ok\"}").await.starts_with("HTTP/1.1 200 "));
    }
    for (lines, beginning) in [
        (["Content-Type: text/plain", "Content-Length: 9999999"], "GET / HTTP/1.1\r\n\r\n"),
        (["Content-Type: text/plain", "Content-Length: 20"], "GET /"),
        (["Content-Type: text/plain", "Transfer-Encoding: chunked"], "5\r\nGET /\r\n"),
    ] {
        let mut wire = Wire::open(&test).await;
        wire.send_head(&test, "POST /purges", &lines).await;
        wire.send(beginning).await;
        let answers = wire.rest().await.to_lowercase();
        assert!(answers.starts_with("http/1.1 415") && answers.contains("connection: close"), "{answers}");
        assert_eq!(answers.matches("http/1.1 ").count(), 1, "{answers}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_wanted_is_not_asked_for() {
    let test = desk().await;
    let mut wire = Wire::open(&test).await;
    let lines = ["Content-Type: text/plain", "Content-Length: 5", "Expect: 100-continue"];
    wire.send_head(&test, "POST /holds", &lines).await;
    let answers = wire.rest().await.to_lowercase();
    assert!(answers.starts_with("http/1.1 415") && answers.contains("connection: close"), "{answers}");
}
