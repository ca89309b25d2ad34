//! Limits of streams: more than connections for requests, and no key can use all of them.

use std::time::Duration;

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use reqwest::Method;
use reqwest::header::ACCEPT;

use super::{event, feed};
use crate::support::Setup;
use crate::support::postgres::new_id;
use crate::support::problem::refused;
use crate::support::stream::Stream;

#[tokio::test]
async fn more_listen_than_there_are_connections_for_requests() {
    let setup = Setup::new().role(Role::Api);
    let test = setup.connections(|terms| (terms.most, terms.streams) = (8, 160)).start().await;
    let mut streams = Vec::new();
    for _ in 0..40 {
        streams.push(Stream::open(feed(&test), None).await);
    }
    // Those who ask are served as if nobody listened.
    for _ in 0..3 {
        test.get("/purges").await;
    }
    let id = new_id()();
    test.sql(&event(id, None)).await;
    for stream in &mut streams {
        assert_eq!(stream.next().await.unwrap().data["id"], id.to_string());
    }
}

#[tokio::test]
async fn a_key_has_a_quarter_of_the_places_and_gets_one_back_when_a_stream_ends() {
    let test = Setup::new().role(Role::Api).connections(|terms| terms.streams = 8).start().await;
    let streams = [Stream::open(feed(&test), None).await, Stream::open(feed(&test), None).await];
    refused(feed(&test).header(ACCEPT, "text/event-stream"), 503, "unavailable").await;
    let other = test.make_key(&[Scope::PurgesRead], None).await;
    let _others = Stream::open(test.request_as(&other, Method::GET, "/events"), None).await;
    drop(streams);
    test.wait_until("its places are free again", async || {
        let stream = feed(&test).header(ACCEPT, "text/event-stream").timeout(Duration::from_secs(9));
        stream.send().await.unwrap().status() == 200
    })
    .await;
}
