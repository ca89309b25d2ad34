//! Slow peers on HTTP/2, where nothing is as visible from the socket as on HTTP/1.1.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use genesys_purge::app::Role;
use reqwest::{Body, Client, Version};
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use super::{Wire, is_held};
use crate::support::problem::refused;
use crate::support::spool::SpoolDir;
use crate::support::{Setup, TestService};

const SHORT: Duration = Duration::from_millis(400);
/// The first words of a client, and its empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn client() -> Client {
    Client::builder().tls_certs_only([]).no_proxy().no_gzip().http2_prior_knowledge().build().unwrap()
}

async fn until_nobody_is_connected(test: &TestService) {
    test.wait_until("the end of the connection", async || !is_held(test, None)).await;
}

#[tokio::test]
async fn a_peer_that_asks_for_nothing_is_cut_whatever_else_it_says() {
    let test = Setup::new().role(Role::Api).connections(|terms| terms.head = SHORT).start().await;
    let mut wire = Wire::open(&test).await;
    wire.0.write_all(PREFACE).await.unwrap();
    let pings = async {
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        loop {
            pause.tick().await;
            if wire.0.write_all(b"\0\0\x08\x06\0\0\0\0\0pingpong").await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(super::LONG, pings).await.expect("pings keep a connection");
}

#[tokio::test]
async fn a_connection_that_rests_is_closed_in_the_end() {
    let test = Setup::new().role(Role::Api).connections(|terms| terms.idle = SHORT).start().await;
    let client = client();
    let response = client.get(format!("{}/health/live", test.url)).send().await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    until_nobody_is_connected(&test).await;
    assert_eq!(client.get(format!("{}/health/live", test.url)).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_that_stalls_is_answered_408_and_its_neighbours_go_on() {
    let spool = SpoolDir::new();
    let test = Setup::new()
        .role(Role::Api)
        .env("PURGE__INTAKE__SPOOL_DIR", spool.path())
        .connections(|terms| terms.stalled = SHORT)
        .start()
        .await;
    let client = client();
    let line = Bytes::from(format!("{}\n", Uuid::nil()));
    let stalls = stream::iter([Ok::<_, std::io::Error>(line)]).chain(stream::pending());
    let request = client.post(format!("{}/purges", test.url)).bearer_auth(&test.key);
    let request = request.header("content-type", "text/csv").body(Body::wrap_stream(stalls));
    let beside = client.get(format!("{}/health/live", test.url));
    refused(request, 408, "request_timeout").await;
    spool.until(false).await;
    assert_eq!(beside.send().await.unwrap().status(), 200);
    assert_eq!(test.number("select count(*) from purges").await, 0);
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_cut_off() {
    let test = Setup::new().role(Role::Api).connections(|terms| terms.unread = SHORT).start().await;
    // Far more than the windows of both sides hold.
    let ids: Vec<Uuid> = (0..200_000).map(Uuid::from_u128).collect();
    let purge = test.purge(&ids).await;
    let client = client();
    let request = client.get(format!("{}/purges/{purge}/report", test.url)).bearer_auth(&test.key);
    let response = request.header("accept", "application/x-ndjson").send().await.unwrap();
    assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 200));
    // The client that asked for the purge rests meanwhile on a connection of its own: that of the report is the other.
    let ours = || super::held(&test);
    test.wait_until("the end of the connection", async || ours() <= 1).await;
    assert!(response.bytes().await.is_err(), "the report came whole");
}
