//! The page on which people read and try the API: all of it comes from the binary.

use std::collections::BTreeSet;

use genesys_purge::app::Role;
use reqwest::{Response, StatusCode};

use crate::support::problem::refused;
use crate::support::{Setup, TestService};

/// Everything that the page needs, from the page on; each is fetched, with its text where it has one.
async fn everything(test: &TestService) -> Vec<(String, Vec<u8>)> {
    let (mut open, mut seen, mut found) =
        (vec!["/docs/".to_owned()], BTreeSet::from(["/docs/".to_owned()]), Vec::new());
    while let Some(path) = open.pop() {
        let response = get(test, &path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        let body = response.bytes().await.unwrap().to_vec();
        let references = match media_type.split(';').next().unwrap() {
            "text/html" => between(&body, &["src=\"", "href=\""]),
            "text/css" => between(&body, &["url("]),
            _ => Vec::new(),
        };
        for reference in references.iter().filter(|reference| !reference.starts_with("data:")) {
            assert!(!reference.contains("//"), "{path} leads to a foreign host: {reference}");
            let path = match reference.strip_prefix("./").unwrap_or(reference) {
                absolute if absolute.starts_with('/') => absolute.to_owned(),
                relative => format!("/docs/{relative}"),
            };
            if seen.insert(path.clone()) {
                open.push(path);
            }
        }
        found.push((path, body));
    }
    found
}

async fn get(test: &TestService, path: &str) -> Response {
    test.client.get(format!("{}{path}", test.url)).send().await.unwrap()
}

/// What stands behind one of these and before its end.
fn between(text: &[u8], before: &[&str]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let pieces = before.iter().flat_map(|before| text.split(before).skip(1));
    pieces
        .map(|piece| piece.trim_start_matches(['"', '\'']).split(['"', '\'', ')']).next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn page_and_assets_come_from_the_service_alone() {
    let test = Setup::new().role(Role::Api).start().await;
    let found = everything(&test).await;
    let paths: BTreeSet<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    for needed in ["/docs/swagger-ui-bundle.js", "/docs/swagger-initializer.js", "/docs/swagger-ui.css"] {
        assert!(paths.contains(needed), "{paths:?}");
    }
    let (_, initializer) = found.iter().find(|(path, _)| path == "/docs/swagger-initializer.js").unwrap();
    let initializer = String::from_utf8(initializer.clone()).unwrap();
    assert!(initializer.contains("\"url\": \"/openapi.json\""), "{initializer}");
    assert!(initializer.contains("\"validatorUrl\": \"none\""), "nobody else is asked: {initializer}");
    for foreign in ["http:", "https:", "\"//"] {
        assert!(!initializer.contains(foreign), "{initializer}");
    }
}

#[tokio::test]
async fn the_page_is_open_and_lets_nothing_in() {
    let test = Setup::new().role(Role::Api).start().await;
    let followed = get(&test, "/docs").await;
    assert_eq!(followed.url().path(), "/docs/", "relative names of assets need the slash");
    for path in ["/docs/", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"] {
        let response = get(&test, path).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("http"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
    }
    refused(test.client.get(format!("{}/docs/nothing.js", test.url)), 404, "no_such_path").await;
    refused(test.client.get(format!("{}/docs/..%2f..%2fCargo.toml", test.url)), 404, "no_such_path").await;
    refused(test.client.get(format!("{}/docs/%ff", test.url)), 404, "not_found").await;
    refused(test.client.post(format!("{}/docs/", test.url)), 405, "method_not_allowed").await;
}
