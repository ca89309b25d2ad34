//! The feed as a stream.

use std::time::{Duration, Instant};

use genesys_purge::app::{Role, Service, World};
use genesys_purge::domain::keys::Scope;
use genesys_purge::store::Place;
use reqwest::Method;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _};

use super::{SOON, event, feed, whole};
use crate::support::pooler::Pooler;
use crate::support::postgres::new_id;
use crate::support::stream::Stream;
use crate::support::{Setup, TestService};

#[tokio::test]
async fn a_client_that_comes_again_and_again_misses_nothing() {
    let test = Setup::new().role(Role::Api).start().await;
    let write = async |seed: u64| {
        let (mut connection, make_id) = (test.database.connect().await, new_id());
        for turn in 0..100 {
            connection.execute("begin").await.unwrap();
            connection.execute(AssertSqlSafe(event(make_id(), Some("default")))).await.unwrap();
            tokio::time::sleep(Duration::from_millis((seed * 11 + turn * 5) % 17)).await;
            connection.execute("commit").await.unwrap();
        }
    };
    let read = async {
        let (mut seen, mut turn) = (Vec::<i64>::new(), 0);
        while seen.len() < 400 {
            let last = seen.last().copied().unwrap_or_default().to_string();
            let mut stream = Stream::open(feed(&test), Some(&last)).await;
            turn += 1;
            for _ in 0..(turn * 7 % 23).min(400 - seen.len()) {
                let message = stream.next().await.unwrap();
                assert_eq!(message.data["no"], message.no());
                assert_eq!(message.data["type"], message.kind.as_str());
                seen.push(message.no());
            }
        }
        seen
    };
    let (.., seen) = tokio::join!(write(1), write(2), write(3), write(4), read);
    assert_eq!(seen, (1..=400).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_begins_now_tells_at_once_and_is_neither_folded_nor_gathered() {
    let test = Setup::new().role(Role::Api).start().await;
    let make_id = new_id();
    test.sql(&event(make_id(), None)).await;
    whole(&test).await;
    let mut stream = Stream::open(feed(&test).header("Accept-Encoding", "gzip"), None).await;
    assert_eq!(stream.header("content-encoding"), None);
    assert_eq!(stream.header("cache-control"), Some("no-cache"));
    assert_eq!(stream.header("x-accel-buffering"), Some("no"));
    for _ in 0..3 {
        let id = make_id();
        test.sql(&event(id, None)).await;
        let message = tokio::time::timeout(SOON, stream.next()).await.unwrap().unwrap();
        assert_eq!(message.data["id"], id.to_string());
    }
    let everything: Vec<Value> = whole(&test).await;
    let mut again = Stream::open(test.request(Method::GET, "/events?since=1"), None).await;
    for event in &everything[1..] {
        assert_eq!(again.next().await.unwrap().data, *event);
    }
}

#[tokio::test]
async fn who_is_told_nothing_for_a_while_is_told_that_the_stream_lives() {
    let test = Setup::new()
        .role(Role::Api)
        .connections(|terms| terms.keep_alive = Duration::from_millis(100))
        .start()
        .await;
    let mut stream = Stream::open(feed(&test), None).await;
    for _ in 0..3 {
        stream.comment().await;
    }
    let id = new_id()();
    test.sql(&event(id, None)).await;
    assert_eq!(stream.next().await.unwrap().data["id"], id.to_string());
}

#[tokio::test]
async fn the_streams_of_a_revoked_key_end_and_those_of_others_go_on() {
    let test = Setup::new().role(Role::Api).start().await;
    let key = test.make_key(&[Scope::PurgesRead], None).await;
    let revoked = Stream::open(test.request_as(&key, Method::GET, "/events"), None).await;
    let mut other = Stream::open(feed(&test), None).await;
    let store = test.store().await;
    let keys = store.list_keys().await.unwrap();
    assert!(store.revoke_key(keys.iter().max_by_key(|key| key.id).unwrap().id).await.unwrap());
    store.close().await;
    let mut revoked = revoked;
    let rest = tokio::time::timeout(SOON, revoked.rest()).await.unwrap();
    assert_eq!(rest, []);
    let id = new_id()();
    test.sql(&event(id, None)).await;
    assert_eq!(other.next().await.unwrap().data["id"], id.to_string());
}

#[tokio::test]
async fn a_stop_ends_streams_at_once() {
    let mut test = TestService::start().await;
    let purge = test.purge_with(serde_json::json!({ "conversationIds": [new_id()()] })).await;
    let mut streams = vec![Stream::open(feed(&test), None).await, super::listen(&test, purge, None).await];
    streams[1].until(|message| message.kind == "counts").await;
    let stopped = Instant::now();
    test.stop_service().await;
    for stream in &mut streams {
        stream.rest().await;
    }
    assert!(stopped.elapsed() < Duration::from_secs(3), "{:?}", stopped.elapsed());
}

#[tokio::test]
async fn behind_a_pooler_that_passes_no_notifications_on_streams_are_told_within_a_second() {
    let mut test = Setup::new().role(Role::Api).start().await;
    let pooler = Pooler::to(&test.database, 3, "").await;
    let place: Place = pooler.place();
    let api = Service::start(&test.settings, &World::machine(), &place, Role::Api).await.unwrap();
    test.url = format!("http://{}", api.address());
    let mut stream = Stream::open(feed(&test), Some("0")).await;
    let mut waits = Vec::new();
    for _ in 0..5 {
        let id = new_id()();
        test.sql(&event(id, None)).await;
        let written = Instant::now();
        assert_eq!(stream.next().await.unwrap().data["id"], id.to_string());
        waits.push(written.elapsed());
    }
    println!("from commit to a stream behind a pooler: {waits:?}");
    waits.sort();
    // Nobody tells the sequencer of what a test writes: it looks once a second itself.
    assert!(waits[2] < Duration::from_millis(1700), "{waits:?}");
    api.stop().await;
}
