//! Paths and methods that don't exist, and unknown ids.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::Desk;
use crate::support::calls::{DocumentedCall, NOBODY, calls};
use crate::support::problem::{pointers, refused};
use crate::support::service::read;

#[tokio::test]
async fn what_nobody_knows_is_not_found() {
    let desk = Desk::open().await;
    let get = |path: String| desk.test.request(Method::GET, &path);
    for id in [NOBODY, "no-uuid", "%00", "1", "%F0%9F%98%80", "%ff", &"9".repeat(5000)] {
        for path in [
            format!("/purges/{id}"),
            format!("/purges/{id}?wait=1"),
            format!("/purges/{id}/conversations"),
            format!("/purges/{id}/jobs"),
            format!("/purges/{id}/events"),
            format!("/purges/{id}/report"),
            format!("/jobs/{id}"),
            format!("/orgs/{id}"),
            format!("/conversations/{id}"),
            format!("/holds/{id}"),
        ] {
            refused(get(path), 404, "not_found").await;
        }
        refused(desk.test.request(Method::POST, &format!("/holds/{id}/release")), 404, "not_found").await;
    }
    for path in ["/nothing", "/purges/", "/v1/purges", "/health", "/openapi"] {
        refused(get(path.to_owned()), 404, "no_such_path").await;
    }
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn a_path_that_does_not_take_the_method_says_which_it_takes() {
    let desk = Desk::open().await;
    let paths = [
        (Method::DELETE, "/purges", &["GET", "POST"][..]),
        (Method::PUT, "/purges", &["GET", "POST"]),
        (Method::DELETE, "/purges/x", &["GET"]),
        (Method::POST, "/purges/x", &["GET"]),
        (Method::PATCH, "/purges/x/conversations", &["GET"]),
        (Method::GET, "/purges/x/cancel", &["POST"]),
        (Method::PUT, "/holds", &["GET", "POST"]),
        (Method::DELETE, "/holds/x", &["GET"]),
        (Method::GET, "/holds/x/release", &["POST"]),
        (Method::POST, "/health/live", &["GET"]),
        (Method::POST, "/openapi.json", &["GET"]),
        (Method::POST, "/webhook-endpoints/x", &["GET", "PATCH", "DELETE"]),
        (Method::TRACE, "/purges", &["GET", "POST"]),
    ];
    for (method, path, taken) in paths {
        let request = || desk.test.request(method.clone(), path).json(&json!({}));
        refused(request(), 405, "method_not_allowed").await;
        let response = request().send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        let allow = response.headers()["allow"].to_str().unwrap().to_owned();
        let told: Vec<&str> = allow.split(',').map(str::trim).filter(|method| *method != "HEAD").collect();
        assert!(taken.iter().all(|method| told.contains(method)), "{method} {path}: {allow}");
        assert_eq!(told.len(), taken.len(), "{method} {path}: {allow}");
    }
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn a_page_that_can_not_be_is_refused_by_the_name_of_the_parameter() {
    let desk = Desk::open().await;
    let id = desk.test.purge(&[Uuid::from_u128(7)]).await;
    for path in [
        format!("/purges/{id}/conversations"),
        format!("/purges/{id}/jobs"),
        format!("/purges/{id}/events"),
        format!("/conversations/{}", Uuid::from_u128(7)),
        "/purges".to_owned(),
        "/orgs".to_owned(),
        "/holds".to_owned(),
    ] {
        for (query, told) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=-1", "limit"),
            ("limit=99999999999999999999", "limit"),
            ("limit=ten", "limit"),
            ("limit=", "limit"),
            ("limit=1&limit=2", "limit"),
            ("cursor=junk", "cursor"),
            ("cursor=", "cursor"),
            ("cursor=e30", "cursor"),
            ("page=2", "page"),
            ("outcome=gone", "outcome"),
            ("outcome=PURGED", "outcome"),
        ] {
            let problem =
                refused(desk.test.request(Method::GET, &format!("{path}?{query}")), 400, "invalid_query")
                    .await;
            assert!(problem["detail"].as_str().unwrap().contains(told), "{path}?{query}: {problem}");
            assert_eq!(pointers(&problem), [format!("?{told}")], "{path}?{query}: {problem}");
            let is_number = told == "limit" && query != "limit=1&limit=2";
            let is_told = problem["errors"][0]["detail"] == "must be a whole number from 1 to 1000";
            assert_eq!(is_told, is_number, "{path}?{query}: {problem}");
        }
    }
    for query in ["wait=61", "wait=-1", "wait=soon", "wait=1.5", "waits=1"] {
        let problem =
            refused(desk.test.request(Method::GET, &format!("/purges/{id}?{query}")), 400, "invalid_query")
                .await;
        let name = query.split('=').next().unwrap();
        assert_eq!(pointers(&problem), [format!("?{name}")], "{query}: {problem}");
        let is_told = problem["errors"][0]["detail"] == "must be a whole number of seconds, at most 60";
        assert_eq!(is_told, name == "wait", "{query}: {problem}");
    }
}

#[tokio::test]
async fn no_call_ignores_a_parameter_that_it_does_not_know() {
    let desk = Desk::open().await;
    for DocumentedCall { method, path, is_open, .. } in calls() {
        // Scrapers may add parameters of their own.
        if is_open || path == "/metrics" {
            continue;
        }
        let request = desk.test.request(method.clone(), &format!("{path}?surprise=1"));
        let request = request.header(CONTENT_TYPE, "text/csv").body(format!("conversationId\n{NOBODY}\n"));
        let problem = refused(request, 400, "invalid_query").await;
        assert_eq!(pointers(&problem), ["?surprise"], "{method} {path}: {problem}");
    }
}

#[tokio::test]
async fn no_call_ignores_a_body_that_it_does_not_take() {
    let desk = Desk::open().await;
    let without = |call: &DocumentedCall| call.method == Method::POST && !call.takes_body;
    let calls: Vec<DocumentedCall> = calls().into_iter().filter(without).collect();
    assert!(!calls.is_empty());
    for DocumentedCall { method, path, .. } in calls {
        let request = || desk.test.request(method.clone(), &path);
        let problem =
            refused(request().json(&json!({ "conversationIds": [NOBODY] })), 422, "invalid_request").await;
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(
            detail.contains("this call takes no fields") || detail.contains("is not known"),
            "{method} {path}: {problem}"
        );
        refused(request().body("only this one"), 415, "unsupported_media_type").await;
        for nothing in ["", "null", "{}"] {
            let (status, body) =
                read(request().header(CONTENT_TYPE, "application/json").body(nothing).send().await.unwrap())
                    .await;
            assert!(matches!(status.as_u16(), 200 | 404), "{method} {path} with {nothing:?}: {body}");
        }
    }
}
