//! Heads that could be read in two ways.

use reqwest::header::{AUTHORIZATION, HOST};
use reqwest::{Client, Method};
use serde_json::Value;

use super::{Wire, desk};
use crate::support::problem::refused;

#[tokio::test]
async fn a_head_that_says_twice_where_and_who_or_not_where_is_refused() {
    let test = desk().await;
    let key = format!("Authorization: Bearer {}\r\n", test.key);
    let other = format!("Authorization: Bearer {}x\r\n", test.key);
    let host = "Host: localhost\r\n";
    let table = [
        (format!("{key}{host}"), "200", ""),
        (format!("{host}{key}{key}"), "400", "repeated_header"),
        (format!("{host}{other}{key}"), "400", "repeated_header"),
        (format!("{host}{key}{other}"), "400", "repeated_header"),
        (format!("{host}{host}{key}"), "400", "repeated_header"),
        (format!("{host}host: other\r\n{key}"), "400", "repeated_header"),
        (key.clone(), "400", "no_host"),
        (String::new(), "400", "no_host"),
    ];
    for (lines, status, code) in table {
        // Whatever is asked for, and whether it is there or not.
        for path in ["/holds", "/health/live", "/nowhere"] {
            let mut wire = Wire::open(&test).await;
            wire.send(&format!("GET {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n")).await;
            let answer = wire.rest().await;
            if status == "200" {
                assert!(!answer.starts_with("HTTP/1.1 400 "), "{path} {lines:?}: {answer}");
                continue;
            }
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {lines:?}: {answer}");
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            let problem: Value = serde_json::from_str(body).unwrap();
            assert_eq!(problem["code"], code, "{problem}");
            assert!(!problem["requestId"].as_str().unwrap().is_empty(), "{problem}");
        }
    }
}

#[tokio::test]
async fn http_1_0_and_http_2_need_no_host() {
    let test = desk().await;
    let mut wire = Wire::open(&test).await;
    wire.send("GET /health/live HTTP/1.0\r\n\r\n").await;
    assert!(wire.rest().await.starts_with("HTTP/1.0 200 "));
    let client = Client::builder().http2_prior_knowledge().build().unwrap();
    let ask = || client.request(Method::GET, format!("{}/holds", test.url));
    assert_eq!(ask().bearer_auth(&test.key).send().await.unwrap().status(), 200);
    let twice = ask().bearer_auth(&test.key).header(AUTHORIZATION, "Bearer x");
    refused(twice, 400, "repeated_header").await;
    let twice = ask().bearer_auth(&test.key).header(HOST, "a").header(HOST, "b");
    refused(twice, 400, "repeated_header").await;
}
