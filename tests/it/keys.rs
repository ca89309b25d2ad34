//! Keys: no protected call answers without one. Driven by the document of the API, so that a new route is covered from
//! its first day.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use genesys_purge::app::Role;
use genesys_purge::domain::keys::{SHOWN, Scope};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{Body, Method, StatusCode};
use serde_json::json;
use sqlx::{Executor as _, Row as _};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::manners::Wire;
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
            (_, path) if path.starts_with("/webhook-") => "webhooks:write",
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

/// A service that only takes requests, and a key that can be revoked.
async fn with_a_key() -> (TestService, String) {
    let setup = Setup::new().role(Role::Api).env("PURGE__DATABASE__MAX_CONNECTIONS", "4");
    let test = setup.start().await;
    let key = test.make_key(&[Scope::PurgesRead, Scope::PurgesWrite], None).await;
    (test, key)
}

async fn revoke(test: &TestService, key: &str) {
    let store = test.store().await;
    let row = store.list_keys().await.unwrap().into_iter().find(|row| key.starts_with(&row.prefix)).unwrap();
    assert!(store.revoke_key(row.id).await.unwrap());
    store.close().await;
}

/// A body that is begun, and goes on to its end when it is told to.
fn in_two_parts(first: String, second: String) -> (Body, oneshot::Receiver<()>, oneshot::Sender<()>) {
    let (begun, has_begun) = oneshot::channel();
    let (go_on, told) = oneshot::channel::<()>();
    let first = stream::once(async move { std::io::Result::Ok(first) });
    let second = stream::once(async move {
        begun.send(()).unwrap();
        told.await.unwrap();
        Ok(second)
    });
    (Body::wrap_stream(first.chain(second)), has_begun, go_on)
}

fn lines(number: u128) -> String {
    (1..=number).map(|id| Uuid::from_u128(id).to_string()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_key_that_is_revoked_while_its_upload_is_under_way_accepts_nothing() {
    let id = |number: usize| format!("{}\n", Uuid::from_u128(number as u128));
    for (media_type, name) in [("text/csv", None), ("text/csv", Some("again")), ("application/json", None)] {
        let (test, key) = with_a_key().await;
        let (first, second) = match media_type {
            "text/csv" => (id(1), id(2)),
            _ => ("{\"conversationIds\":".to_owned(), format!("[\"{}\"]}}", Uuid::from_u128(1))),
        };
        let (body, has_begun, go_on) = in_two_parts(first, second);
        let upload = test.request_as(&key, Method::POST, "/purges").header(CONTENT_TYPE, media_type);
        let upload = name.iter().fold(upload, |upload, name| upload.header("Idempotency-Key", *name));
        let upload = tokio::spawn(upload.body(body).send());
        has_begun.await.unwrap();
        revoke(&test, &key).await;
        go_on.send(()).unwrap();

        let response = upload.await.unwrap().unwrap();
        assert_eq!(response.headers().get(WWW_AUTHENTICATE).unwrap(), "Bearer", "{media_type}");
        let (status, problem) = read(response).await;
        assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("no_key")), "{problem}");
        assert_eq!(test.number("select count(*) from purges").await, 0);
        assert_eq!(test.number("select count(*) from idempotency_keys").await, 0);
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_while_its_repeat_is_under_way_is_not_told_what_became_of_the_first() {
    let (test, key) = with_a_key().await;
    let ids = [1, 2].map(|number| format!("{}\n", Uuid::from_u128(number)));
    let upload = |body: Body| {
        let request = test.request_as(&key, Method::POST, "/purges").header(CONTENT_TYPE, "text/csv");
        request.header("Idempotency-Key", "once").body(body)
    };
    assert_eq!(upload(ids.concat().into()).send().await.unwrap().status(), StatusCode::ACCEPTED);
    let [first, second] = ids;
    let (body, has_begun, go_on) = in_two_parts(first, second);
    let repeat = tokio::spawn(upload(body).send());
    has_begun.await.unwrap();
    revoke(&test, &key).await;
    go_on.send(()).unwrap();
    assert_eq!(repeat.await.unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_key_that_is_revoked_while_a_large_purge_is_written_accepts_nothing() {
    const WAITS: &str = "select count(*) from pg_locks where locktype = 'advisory' and not granted";
    let (test, key) = with_a_key().await;
    // The second slice waits for this, when the key was looked at for the first.
    let mut lock = test.database.connect().await;
    lock.execute("begin; select pg_advisory_xact_lock(7)").await.unwrap();
    test.sql(
        "create function wait_for_the_test() returns trigger language plpgsql as $$
         begin perform pg_advisory_xact_lock(7); return new; end $$;
         create trigger waits before insert on slices for each row when (new.slice_no = 1)
         execute function wait_for_the_test()",
    )
    .await;
    let ids = lines(501);
    let upload = test.request_as(&key, Method::POST, "/purges").header(CONTENT_TYPE, "text/csv");
    let upload = tokio::spawn(upload.body(ids).send());
    test.wait_until("the second slice is written", async || test.number(WAITS).await == 1).await;
    revoke(&test, &key).await;
    lock.execute("rollback").await.unwrap();

    assert_eq!(upload.await.unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(test.number("select count(*) from purges").await, 0);
}

#[tokio::test]
async fn a_key_that_is_revoked_ends_its_wait_and_cuts_off_its_report() {
    const WAITS: &str = "select count(*) from pg_locks where relation = 'purges'::regclass and not granted";
    let (test, key) = with_a_key().await;
    // More than the sockets between server and client can hold.
    let ids = lines(200_000);
    let response = test.upload("text/csv", "", ids).send().await.unwrap();
    let purge = read(response).await.1["id"].as_str().unwrap().to_owned();
    let report = test.request_as(&key, Method::GET, &format!("/purges/{purge}/report"));
    let mut report = report.header(ACCEPT, "application/x-ndjson").send().await.unwrap();
    let begun = report.chunk().await.unwrap().unwrap();
    let waiting = test.request_as(&key, Method::GET, &format!("/purges/{purge}?wait=60"));
    // Its key has been looked at when it waits for this.
    let mut lock = test.lock("purges in access exclusive").await;
    let waiting = tokio::spawn(waiting.send());
    test.wait_until("the purge is read", async || test.number(WAITS).await == 1).await;
    revoke(&test, &key).await;
    lock.execute("rollback").await.unwrap();

    // Long before its minute is over, which this test would not wait for.
    let ended = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert_eq!(ended.expect("it waits on").unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);
    let mut read = begun.to_vec();
    let broken = loop {
        match report.chunk().await {
            Ok(Some(chunk)) => read.extend(&chunk),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    let rows = read.split(|byte| *byte == b'\n').skip(1).count();
    assert!(broken && rows < 200_000, "a report that is cut off never ends like a whole one: {rows}");
}

/// What a key of every scope may do that takes a body, however small.
async fn acts(test: &TestService) -> Vec<String> {
    let purge = test.purge(&[Uuid::from_u128(1)]).await;
    let hold = json!({ "matter": "M", "conversationIds": [Uuid::from_u128(2)] });
    let hold = test.post("/holds", &hold).await.1["id"].as_str().unwrap().to_owned();
    let acts = ["cancel", "pause", "resume", "retry"].map(|act| format!("/purges/{purge}/{act}"));
    let others = ["/holds".to_owned(), format!("/holds/{hold}/release")];
    let brakes = ["stop", "resume"].map(|act| format!("/orgs/default/{act}"));
    acts.into_iter().chain(others).chain(brakes).collect()
}

/// What may be told of it afterwards.
async fn standing(test: &TestService) -> Vec<i64> {
    let counts = ["events", "holds", "hold_conversations", "orgs where stopped_at is not null"];
    let mut standing = Vec::new();
    for count in counts {
        standing.push(test.number(&format!("select count(*) from {count}")).await);
    }
    standing
}

#[tokio::test]
async fn a_key_that_is_revoked_while_a_body_is_under_way_steers_and_protects_nothing() {
    let test = Setup::new().role(Role::Api).start().await;
    let acts = acts(&test).await;
    let before = standing(&test).await;
    let key = test.make_key(Scope::ALL, None).await;
    let mut under_way = Vec::new();
    for path in &acts {
        let body = match path.as_str() {
            "/holds" => json!({ "matter": "N", "conversationIds": [Uuid::from_u128(3)] }).to_string(),
            _ => "{}".to_owned(),
        };
        let mut wire = Wire::open(&test).await;
        wire.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nExpect: 100-continue\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        ))
        .await;
        // The service asks for the body once it has looked at the key.
        wire.until("HTTP/1.1 100 Continue\r\n\r\n").await;
        under_way.push((path, wire, body));
    }
    revoke(&test, &key).await;
    for (path, mut wire, body) in under_way {
        wire.send(&body).await;
        let answer = wire.rest().await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("\"no_key\""), "{path}: {answer}");
    }
    assert_eq!(standing(&test).await, before);
}

#[tokio::test]
async fn a_key_that_is_revoked_while_it_waits_for_a_lock_steers_and_protects_nothing() {
    let test = Setup::new().role(Role::Api).start().await;
    let acts = acts(&test).await;
    let before = standing(&test).await;
    let key = test.make_key(Scope::ALL, None).await;
    let hold = json!({ "matter": "N", "conversationIds": [Uuid::from_u128(3)] });
    let prefix = &key[..SHOWN];
    for path in &acts {
        let body = if path == "/holds" { &hold } else { &json!({}) };
        let mut lock = test.database.connect().await;
        lock.execute("begin; select from orgs where name = 'default' for no key update").await.unwrap();
        let answer = tokio::spawn(test.request_as(&key, Method::POST, path).json(body).send());
        test.until_waiting(1).await;
        test.sql(&format!("update api_keys set revoked_at = now() where prefix = '{prefix}'")).await;
        lock.execute("rollback").await.unwrap();
        let (status, problem) = read(answer.await.unwrap().unwrap()).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::UNAUTHORIZED, &json!("no_key")),
            "{path}: {problem}"
        );
        test.sql("update api_keys set revoked_at = null").await;
    }
    assert_eq!(standing(&test).await, before);
}
