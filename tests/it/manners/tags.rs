//! `ETag`s: a client that has the current state of a resource gets a few bytes.

use genesys_purge::sandbox::Kind;
use reqwest::header::{ACCEPT_ENCODING, ETAG, IF_NONE_MATCH};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::json;

use super::desk;
use crate::support::TestService;

async fn get(test: &TestService, path: &str, known: Option<&str>) -> Response {
    let request = test.request(Method::GET, path);
    known.iter().fold(request, |request, tag| request.header(IF_NONE_MATCH, *tag)).send().await.unwrap()
}

fn tag(response: &Response) -> String {
    response.headers()[ETAG].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_single_resource_has_a_tag_and_is_not_sent_twice() {
    let mut test = TestService::start().await;
    test.client = Client::builder().tls_certs_only([]).no_proxy().no_gzip().build().unwrap();
    let ids = &test.ids_of(Kind::Eligible)[..2];
    let purge = test.purge(ids).await;
    test.finished(purge).await;
    let hold = test.post("/holds", &json!({ "matter": "M", "conversationIds": ids })).await.1;
    let job = test.jobs(purge).await[0]["id"].as_str().unwrap().to_owned();
    for path in [
        format!("/purges/{purge}"),
        format!("/purges/{purge}?wait=30"),
        format!("/holds/{}", hold["id"].as_str().unwrap()),
        format!("/conversations/{}", ids[0]),
        format!("/jobs/{job}"),
        "/openapi.json".to_owned(),
        "/openapi.yaml".to_owned(),
    ] {
        let first = get(&test, &path, None).await;
        assert_eq!(first.status(), StatusCode::OK, "{path}");
        let known = tag(&first);
        assert!(known.starts_with("W/\"") && known.ends_with('"'), "{known}");
        assert_eq!(first.headers()["cache-control"], "no-store");
        for list in [known.as_str(), &known[2..], "*", &format!("\"other\", {known}")] {
            let again = get(&test, &path, Some(list)).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path} with {list}");
            assert_eq!(tag(&again), known);
            for name in ["cache-control", "x-request-id", "vary"] {
                assert!(again.headers().contains_key(name), "{name} of {path}");
            }
            assert_eq!(again.headers().get("content-length"), None);
            assert_eq!(again.bytes().await.unwrap().len(), 0, "{path}");
        }
        let other = get(&test, &path, Some("\"other\"")).await;
        assert_eq!((other.status(), tag(&other)), (StatusCode::OK, known.clone()), "{path}");
        let folded = test.request(Method::GET, &path).header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
        assert_eq!(tag(&folded), known, "a weak tag is that of both codings");
        let head = test.request(Method::HEAD, &path).header(IF_NONE_MATCH, &known).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::NOT_MODIFIED, "{path}");
    }
}

#[tokio::test]
async fn a_tag_changes_with_what_it_stands_for_and_lists_and_refusals_have_none() {
    let test = desk().await;
    let purge = test.purge(&[uuid::Uuid::from_u128(1)]).await;
    let path = format!("/purges/{purge}");
    let before = tag(&get(&test, &path, None).await);
    assert_eq!(tag(&get(&test, &path, None).await), before, "it stands still");
    test.post(&format!("{path}/pause"), &json!({})).await;
    let after = get(&test, &path, Some(&before)).await;
    assert_eq!(after.status(), StatusCode::OK);
    assert_ne!(tag(&after), before);
    for path in ["/purges", "/holds", "/orgs", "/purges/nothing", "/nowhere", "/health/live"] {
        let response = get(&test, path, Some("*")).await;
        assert_ne!(response.status(), StatusCode::NOT_MODIFIED, "{path}");
        assert_eq!(response.headers().get(ETAG), None, "{path}");
    }
}
