//! A key that is limited to orgs sees only their events.

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{assert_in_order, event, whole};
use crate::support::postgres::new_id;
use crate::support::problem::refused;
use crate::support::service::read;
use crate::support::stream::Stream;
use crate::support::{Setup, TestService};

/// What a key is told, page by page.
async fn told(test: &TestService, key: &str) -> Vec<Value> {
    let (mut told, mut path) = (Vec::new(), "/events?limit=3".to_owned());
    loop {
        let (status, page) = read(test.request_as(key, Method::GET, &path).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        told.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["nextCursor"].as_str() else { return told };
        path = format!("/events?limit=3&cursor={next}");
    }
}

#[tokio::test]
async fn a_limited_key_sees_the_events_of_its_orgs_in_pages_and_streams() {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    let make_id = new_id();
    let write = async |number: usize| {
        let org = [Some("default"), Some("eu"), None][number % 3];
        test.sql(&event(make_id(), org)).await;
    };
    for number in 0..40 {
        write(number).await;
    }
    whole(&test).await;
    let mut keys = Vec::new();
    for orgs in [&["eu"][..], &["default", "eu"], &["eu", "eu"]] {
        let key = test.make_key(&[Scope::PurgesRead], Some(orgs)).await;
        let stream = Stream::open(test.request_as(&key, Method::GET, "/events?since=0"), None).await;
        keys.push((orgs, key, stream));
    }
    // Those that come live.
    for number in 40..60 {
        write(number).await;
    }
    test.sql(&event(make_id(), Some("eu"))).await;
    let everything = whole(&test).await;
    assert_in_order(&everything);
    let last = everything.last().unwrap();
    for (orgs, key, mut stream) in keys {
        let is_reached = |event: &&Value| event["org"].as_str().is_some_and(|org| orgs.contains(&org));
        let expected: Vec<Value> = everything.iter().filter(is_reached).cloned().collect();
        assert_eq!(told(&test, &key).await, expected, "{orgs:?}");
        let streamed = stream.until(|message| message.data == *last).await;
        let streamed: Vec<Value> = streamed.into_iter().map(|message| message.data).collect();
        assert_eq!(streamed, expected, "{orgs:?}");
    }
    let nowhere = test.make_key(&[Scope::PurgesRead], Some(&["elsewhere"])).await;
    assert_eq!(told(&test, &nowhere).await, [Value::Null; 0]);
    assert_eq!(told(&test, &test.key).await, everything);
    let blind = test.make_key(&[Scope::PurgesWrite], None).await;
    refused(test.request_as(&blind, Method::GET, "/events"), 403, "missing_scope").await;
    refused(test.client.get(format!("{}/events", test.url)), 401, "no_key").await;
}
