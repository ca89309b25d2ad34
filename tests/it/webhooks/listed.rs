//! Deliveries are listed by state, purge, time and endpoint, only to keys that reach their org.

use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::impatient;
use crate::support::TestService;
use crate::support::problem::{pointers, refused};
use crate::support::receiver::Answer;
use crate::support::service::read;

async fn list(test: &TestService, key: &str, filter: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/webhook-deliveries?limit=2{filter}{cursor}");
        let (status, page) = read(test.request_as(key, Method::GET, &path).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{path}: {page}");
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

async fn purge_in(test: &TestService, org: &str, ids: &[Uuid]) -> Uuid {
    let purge = test.purge_with(json!({ "conversationIds": ids, "org": org })).await;
    test.finished(purge).await;
    purge
}

/// Two purges, one of each org, both told of; the webhooks of `eu` are dead.
async fn stage() -> (TestService, Uuid, Uuid) {
    let test = impatient("1h").second_org().start().await;
    let ids = test.ids_of(Kind::Eligible);
    let theirs = purge_in(&test, "default", &ids[..2]).await;
    test.receiver.wait_for(2, |_| true).await;
    test.wait_until("both are taken", async || {
        test.number("select count(*) from deliveries where state = 'delivered'").await == 2
    })
    .await;
    test.receiver.answer_next(&[Answer::Status(410), Answer::Status(410)]);
    let ours = purge_in(&test, "eu", &ids[2..4]).await;
    test.wait_until("both are given up", async || {
        test.number("select count(*) from deliveries where state = 'dead'").await == 2
    })
    .await;
    (test, theirs, ours)
}

#[tokio::test]
async fn a_key_of_one_org_sees_and_sends_nothing_of_another() {
    let (test, theirs, ours) = stage().await;
    let eu = test.make_key(&[Scope::WebhooksWrite], Some(&["eu"])).await;
    let none = test.make_key(&[Scope::WebhooksWrite], Some(&[])).await;
    let all = list(&test, &test.key, "").await;
    let org = |org: &'static str| all.iter().filter(move |item| item["org"] == org);
    assert_eq!((all.len(), org("default").count(), org("eu").count()), (4, 2, 2), "{all:#?}");
    let own: Vec<Value> = org("eu").cloned().collect();
    assert_eq!(list(&test, &eu, "").await, own);
    assert_eq!(list(&test, &eu, &format!("&purge={ours}")).await, own);
    assert!(list(&test, &eu, &format!("&purge={theirs}")).await.is_empty());
    assert!(list(&test, &eu, "&state=delivered").await.is_empty());
    assert!(list(&test, &none, "").await.is_empty());

    // A cursor that stands behind what is theirs leads to nothing of it.
    let page = test.get("/webhook-deliveries?limit=3").await;
    let cursor = page["nextCursor"].as_str().unwrap();
    let path = format!("/webhook-deliveries?cursor={cursor}");
    let (_, rest) = read(test.request_as(&eu, Method::GET, &path).send().await.unwrap()).await;
    assert_eq!(rest, json!({ "items": [], "nextCursor": null }));

    for foreign in org("default") {
        let path = format!("/webhook-deliveries/{}", foreign["id"].as_str().unwrap());
        refused(test.request_as(&eu, Method::GET, &path), 404, "not_found").await;
        refused(test.request_as(&eu, Method::POST, &format!("{path}/redeliver")), 404, "not_found").await;
        test.get(&path).await;
    }
    assert_eq!(test.receiver.hooks().len(), 4, "nothing was sent again");

    // What is of no org concerns whoever reaches every org.
    test.sql("update deliveries set org = null where org = 'eu'").await;
    assert!(list(&test, &eu, "").await.is_empty());
    let path = format!("/webhook-deliveries/{}", own[0]["id"].as_str().unwrap());
    refused(test.request_as(&eu, Method::GET, &path), 404, "not_found").await;
    refused(test.request_as(&eu, Method::POST, &format!("{path}/redeliver")), 404, "not_found").await;
    assert_eq!(list(&test, &test.key, "&state=dead").await.len(), 2);
    assert_eq!(test.get(&path).await["org"], Value::Null);
}

#[tokio::test]
async fn what_is_asked_for_is_what_is_shown_newest_first() {
    let (test, theirs, ours) = stage().await;
    let all = list(&test, &test.key, "").await;
    let at = |item: &Value| item["createdAt"].as_str().unwrap().to_owned();
    assert!(all.is_sorted_by_key(|item| std::cmp::Reverse(at(item))), "{all:#?}");
    let ids = |items: &[Value]| items.iter().map(|item| item["id"].clone()).collect::<Vec<_>>();
    for (filter, expected) in [
        (format!("&purge={theirs}"), &all[2..]),
        (format!("&purge={ours}"), &all[..2]),
        (format!("&purge={ours}&state=dead"), &all[..2]),
        (format!("&purge={ours}&state=delivered"), &[]),
        (format!("&purge={}", Uuid::from_u128(1)), &[]),
        ("&state=dead".to_owned(), &all[..2]),
        ("&state=pending".to_owned(), &[]),
        (format!("&since={}", at(&all[2])), &all[..3]),
        (format!("&since={}&state=delivered", at(&all[2])), &all[2..3]),
        (format!("&purge={theirs}&since={}", at(&all[2])), &all[2..3]),
        ("&since=9999-01-01T00:00:00Z".to_owned(), &[]),
        ("&since=-009999-01-03T00:00:00Z".to_owned(), &all[..]),
        ("&endpoint=retention".to_owned(), &all[..]),
        ("&endpoint=other".to_owned(), &[]),
        ("&endpoint=%00".to_owned(), &[]),
    ] {
        assert_eq!(ids(&list(&test, &test.key, &filter).await), ids(expected), "{filter}");
    }
    // A job's webhook is found by the purge that it carried.
    let jobs = all.iter().filter(|item| item["event"] == "purge_job_completed");
    assert!(jobs.clone().all(|job| job["jobId"].is_string() && job["purgeId"].is_null()), "{all:#?}");
    assert_eq!(jobs.count(), 2);

    for (query, name) in [
        ("state=gone", "state"),
        ("purge=x", "purge"),
        ("since=yesterday", "since"),
        ("limit=0", "limit"),
        ("cursor=junk", "cursor"),
        ("org=eu", "org"),
    ] {
        let request = test.request(Method::GET, &format!("/webhook-deliveries?{query}"));
        let problem = refused(request, 400, "invalid_query").await;
        assert_eq!(pointers(&problem), [format!("?{name}")], "{query}: {problem}");
    }
    let page = test.get("/webhook-deliveries?limit=1").await;
    let path = format!("/webhook-deliveries?state=dead&cursor={}", page["nextCursor"].as_str().unwrap());
    refused(test.request(Method::GET, &path), 400, "invalid_query").await;
}
