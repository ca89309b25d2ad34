//! The page of the API: everything that it needs comes from this service.

use std::collections::BTreeSet;

use reqwest::StatusCode;

use crate::support::Setup;

#[tokio::test]
async fn the_page_and_all_that_it_names_come_from_here_and_are_open_to_anybody() {
    let test = Setup::new().role(genesys_purge::app::Role::Api).start().await;
    let get = async |path: &str| {
        let response = test.client.get(format!("{}{path}", test.url)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        let policy = header("content-security-policy").unwrap_or_default();
        assert!(
            policy.contains("default-src 'none'") || policy.contains("default-src 'self'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("http"), "{path}: {policy}");
        response.text().await.unwrap()
    };
    // A browser follows the redirect to the folder, as this client does.
    let page = get("/docs").await;
    assert!(page.contains("swagger-ui"), "{page}");
    let mut named = BTreeSet::new();
    for attribute in ["src=\"", "href=\""] {
        named.extend(
            page.split(attribute).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())),
        );
    }
    assert!(named.len() >= 4, "{named:?}");
    for asset in named {
        assert!(!asset.contains("//"), "another host: {asset}");
        let text = get(&format!("/docs/{}", asset.trim_start_matches("./"))).await;
        assert!(!text.is_empty(), "{asset}");
        if asset.contains("initializer") {
            assert!(text.contains("/openapi.json"), "{text}");
        }
    }
    let missing = test.client.get(format!("{}/docs/nothing.js", test.url)).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}
