//! Cursors belong to one list with one set of filters; lists stay whole while rows are added.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use genesys_purge::app::Role;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::all;
use crate::support::problem::{pointers, refused};
use crate::support::{Setup, TestService};

async fn made(test: &TestService, reference: &str) -> String {
    let body = json!({
        "conversationIds": [Uuid::from_u128(7)], "org": "default", "reference": reference,
        "labels": { "team": "a" },
    });
    test.purge_with(body).await.to_string()
}

#[tokio::test]
async fn a_cursor_of_another_list_or_of_other_filters_is_refused() {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    let purge = made(&test, "x").await;
    for _ in 0..2 {
        made(&test, "x").await;
    }
    // The same event once more, so that a list of events has a second page too.
    test.sql(
        "insert into events (id, type, org, purge_id, event_no, actor, payload, at)
         select gen_random_uuid(), 'purge_started', org, purge_id, 2, 'engine', '{}', at from events",
    )
    .await;
    let lists = [
        "/purges?".to_owned(),
        "/purges?state=queued".to_owned(),
        "/purges?org=default".to_owned(),
        "/purges?reference=x".to_owned(),
        "/purges?label=team:a".to_owned(),
        "/purges?label=team:a&reference=x".to_owned(),
        format!("/purges/{purge}/events?"),
        "/orgs?".to_owned(),
    ];
    let mut cursors = Vec::new();
    for list in &lists {
        let page = test.get(&format!("{list}&limit=1")).await;
        cursors.push(page["nextCursor"].as_str().unwrap_or_else(|| panic!("{list}: {page}")).to_owned());
    }
    for (own, list) in lists.iter().enumerate() {
        for (of, cursor) in cursors.iter().enumerate() {
            let path = format!("{list}&limit=2&cursor={cursor}");
            if of == own {
                test.get(&path).await;
                continue;
            }
            let problem = refused(test.request(Method::GET, &path), 400, "invalid_query").await;
            assert_eq!(pointers(&problem), ["?cursor"], "{path}");
        }
        for junk in ["junk", "", "e30", "%00", &format!("{}x", cursors[own]), &cursors[own][1..]] {
            let path = format!("{list}&cursor={junk}");
            let problem = refused(test.request(Method::GET, &path), 400, "invalid_query").await;
            assert_eq!(pointers(&problem), ["?cursor"], "{path}");
        }
    }
    // A cursor tells nobody what was filtered by.
    let [secret, _] = [made(&test, "somebody's name").await, made(&test, "somebody's name").await];
    let page = test.get("/purges?reference=somebody's%20name&limit=1").await;
    assert_ne!(page["items"][0]["id"], json!(secret), "the newest comes first");
    let cursor = page["nextCursor"].as_str().unwrap();
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, cursor).unwrap();
    assert!(!String::from_utf8(decoded).unwrap().contains("somebody"), "{cursor}");
}

#[tokio::test]
async fn while_purges_are_added_a_reader_misses_none_that_was_there_and_sees_none_twice() {
    let test = Arc::new(Setup::new().second_org().role(Role::Api).start().await);
    let mut before = BTreeSet::new();
    for _ in 0..60 {
        before.insert(made(&test, "x").await);
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (test, is_over) = (Arc::clone(&test), Arc::clone(&is_over));
        async move {
            let mut added = 0;
            while !is_over.load(Ordering::Relaxed) {
                made(&test, "x").await;
                added += 1;
            }
            added
        }
    });
    // The reader waits until the writer is at work.
    test.wait_until("a purge was added", async || {
        test.number("select count(*) from purges").await > i64::try_from(before.len()).unwrap()
    })
    .await;
    for filter in ["", "&org=default", "&state=queued", "&reference=x", "&label=team:a"] {
        let pages = all(&test, &format!("/purges?limit=3{filter}")).await;
        let seen: Vec<String> =
            pages.iter().flatten().map(|purge: &Value| purge["id"].as_str().unwrap().to_owned()).collect();
        let distinct: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(distinct.len(), seen.len(), "none comes twice {filter}");
        assert!(before.is_subset(&distinct), "none is missed {filter}");
        assert!(seen.is_sorted_by(|newer, older| newer > older), "newest first {filter}");
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() > 3, "purges were added while they were read");
}
