//! Keys: nothing that is guarded answers anybody without one. Driven by the document of the API, so that a new route is
//! covered from its first day.

use std::collections::BTreeMap;

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use sqlx::{Executor as _, Row as _};

use crate::support::calls::{DocumentedCall, calls};
use crate::support::problem::refused;
use crate::support::service::read;
use crate::support::{Setup, TestService};

#[tokio::test]
async fn a_guarded_call_refuses_whoever_has_no_key_in_force() {
    let test = Setup::new().role(Role::Api).start().await;
    let revoked = test.make_key(Scope::ALL, None).await;
    let store = test.store().await;
    let rows = store.list_keys().await.unwrap();
    let row = rows.iter().find(|row| revoked.starts_with(&row.prefix)).unwrap();
    assert!(store.revoke_key(row.id).await.unwrap());
    assert!(!store.revoke_key(row.id).await.unwrap(), "once is enough");
    store.close().await;
    let headers = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some("Bearer gpk_unknown".to_owned()),
        Some(test.key.clone()),
        Some(format!("Basic {}", test.key)),
        Some(format!("Bearer {}x", test.key)),
        Some(format!("Bearer {}", &test.key[..test.key.len() - 1])),
        Some(format!("Bearer {}", test.key.to_lowercase())),
        Some(format!("Bearer {} {}", test.key, test.key)),
        Some(format!("Bearer {}", "k".repeat(10_000))),
        Some(format!("Bearer {revoked}")),
    ];
    for DocumentedCall { method, path, is_open, .. } in calls() {
        for header in &headers {
            let request = || {
                let request = test.client.request(method.clone(), format!("{}{path}", test.url));
                header.iter().fold(request.body("no JSON at all"), |request, value| {
                    request.header(AUTHORIZATION, value)
                })
            };
            let response = request().send().await.unwrap();
            if is_open {
                assert_eq!(response.status(), StatusCode::OK, "{method} {path} is open");
                continue;
            }
            assert_eq!(response.headers().get(WWW_AUTHENTICATE).unwrap(), "Bearer", "{method} {path}");
            refused(request(), 401, "no_key").await;
        }
    }
}

#[tokio::test]
async fn a_guarded_call_needs_the_one_scope_that_it_names() {
    let test = Setup::new().role(Role::Api).start().await;
    let mut keys = BTreeMap::new();
    for scope in Scope::ALL {
        let others: Vec<Scope> = Scope::ALL.iter().copied().filter(|other| other != scope).collect();
        keys.insert(
            scope.as_str(),
            (test.make_key(&[*scope], None).await, test.make_key(&others, None).await),
        );
    }
    for DocumentedCall { method, path, scope, .. } in calls().into_iter().filter(|call| !call.is_open) {
        let needed = match (method.as_str(), path.as_str()) {
            ("POST", path) if path.starts_with("/holds") => "holds:write",
            ("POST", path) if path.starts_with("/orgs") => "admin",
            ("POST", _) => "purges:write",
            ("GET", "/metrics") => "admin",
            _ => "purges:read",
        };
        assert_eq!(scope.as_deref(), Some(needed), "the document tells it of {method} {path}");
        let (alone, others) = &keys[needed];
        let ask = |key: &str| test.request_as(key, method.clone(), &path);
        let problem = refused(ask(others), 403, "missing_scope").await;
        assert_eq!(problem["detail"], format!("this key lacks the scope {needed}"), "{method} {path}");
        let (status, body) = read(ask(alone).send().await.unwrap()).await;
        assert!(![401, 403].contains(&status.as_u16()), "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn the_word_bearer_is_read_in_any_letter_case() {
    let test = Setup::new().role(Role::Api).start().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = test.client.get(format!("{}/holds", test.url));
        let response = request.header(AUTHORIZATION, format!("{scheme}  {}", test.key)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{scheme}");
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_counts_from_the_next_request_on() {
    let test = Setup::new().role(Role::Api).start().await;
    let key = test.make_key(&[Scope::PurgesRead], None).await;
    let ask = || test.request_as(&key, Method::GET, "/holds");
    assert_eq!(ask().send().await.unwrap().status(), StatusCode::OK);
    let store = test.store().await;
    let row = store.list_keys().await.unwrap().into_iter().find(|row| key.starts_with(&row.prefix)).unwrap();
    store.revoke_key(row.id).await.unwrap();
    store.close().await;
    refused(ask(), 401, "no_key").await;
}

#[tokio::test]
async fn keys_are_stored_hashed() {
    let test = TestService::start().await;
    let mut connection = test.database.connect().await;
    let rows = connection.fetch_all("select api_keys::text, sha256 from api_keys").await.unwrap();
    assert_eq!(rows.len(), 1);
    let (row, digest): (String, Vec<u8>) = (rows[0].get(0), rows[0].get(1));
    assert_eq!(digest.len(), 32);
    assert!(row.contains(&test.key[..10]), "the beginning tells keys apart: {row}");
    assert!(!row.contains(&test.key[..16]), "no more of it is kept: {row}");
}
