//! All places taken: connections that do not read, then idle ones, make room for new ones.

use std::time::Duration;

use genesys_purge::app::Role;
use genesys_purge::sandbox::Kind;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Wire, is_held};
use crate::support::{Setup, TestService};

const SHORT: Duration = Duration::from_millis(400);

/// A service that takes so many connections, with an address of its own for its health.
async fn house_of(most: usize) -> TestService {
    let setup = Setup::new().role(Role::Api).env("PURGE__SERVER__HEALTH_BIND", "127.0.0.1:0");
    setup.connections(|terms| (terms.most, terms.stalled) = (most, SHORT)).start().await
}

/// How many requests are being answered, with the one that asks.
async fn in_flight(test: &TestService) -> u64 {
    let metrics = test.client.get(format!("{}/metrics", test.health_url())).bearer_auth(&test.key);
    let page = metrics.send().await.unwrap().text().await.unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix("genesys_purge_http_requests_in_flight "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn who_comes_when_everybody_has_a_request_waits_for_a_place() {
    let test = Setup::new()
        .role(Role::Api)
        .connections(|terms| terms.most = 2)
        .env("PURGE__SERVER__HEALTH_BIND", "127.0.0.1:0")
        .start()
        .await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..1]).await;
    let mut wires = Vec::new();
    for _ in 0..2 {
        let mut wire = Wire::open(&test).await;
        wire.send_head(&test, &format!("GET /purges/{purge}?wait=30"), &[]).await;
        wires.push(wire);
    }
    // A connection whose request has not come yet would make room.
    test.wait_until("both have a request", async || in_flight(&test).await == 3).await;
    let mut late = Wire::open(&test).await;
    late.send("GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    let mut byte = [0];
    let served = tokio::time::timeout(SHORT, late.0.read(&mut byte)).await;
    assert!(served.is_err(), "it was served beyond the limit");
    for path in ["/health/live", "/health/ready"] {
        let told = test.client.get(format!("{}{path}", test.health_url())).send().await.unwrap();
        assert_eq!(told.status(), StatusCode::OK, "{path} has an address of its own");
    }
    let other = test.client.get(format!("{}/purges", test.health_url())).bearer_auth(&test.key).send().await;
    assert_eq!(other.unwrap().status(), StatusCode::NOT_FOUND, "nothing else is answered there");
    drop(wires.remove(0));
    assert!(late.rest().await.contains("\"ok\""));
}

#[tokio::test]
async fn who_has_asked_nothing_for_longest_makes_room_for_who_comes() {
    const MOST: usize = 8;
    let test = Setup::new().role(Role::Api).connections(|terms| terms.most = MOST).start().await;
    let mut slow = Vec::new();
    for _ in 0..3 * MOST {
        let mut wire = Wire::open(&test).await;
        wire.send("GET /health/live HTTP/1.1\r\nX-Slow: ").await;
        slow.push(wire);
    }
    let mut late = Wire::open(&test).await;
    let began = std::time::Instant::now();
    late.send("GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(late.rest().await.contains("\"ok\""));
    // Long before the heads have had their time.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for mut gone in slow.drain(..2 * MOST) {
        assert_eq!(gone.rest().await, "", "the oldest went first");
    }
}

/// What a client sends who asks for far more than the buffers of both sides hold, and reads nothing.
fn pipelined() -> String {
    "GET /openapi.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(300)
}

/// Reads slowly until told to hurry; everything that came.
async fn read_slowly(
    mut wire: Wire,
    begun: oneshot::Sender<()>,
    mut hurry: oneshot::Receiver<()>,
) -> Vec<u8> {
    let (mut all, mut piece, mut begun) = (Vec::new(), vec![0; 64 * 1024], Some(begun));
    loop {
        let read = wire.0.read(&mut piece).await.unwrap();
        all.extend_from_slice(&piece[..read]);
        // More than was in the buffers when it stopped for the first time.
        if all.len() > 5_000_000
            && let Some(begun) = begun.take()
        {
            begun.send(()).unwrap();
        }
        if read == 0 {
            return all;
        }
        if hurry.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Found in an attack: connections without a key that asked and did not read had everybody else wait for seconds; those with a
/// key, for minutes.
#[tokio::test]
async fn who_does_not_read_makes_room_for_as_many_as_come_and_who_waits_or_reads_slowly_stays() {
    let test = house_of(8).await;
    let ids: Vec<Uuid> = (0..200_000).map(Uuid::from_u128).collect();
    let purge = test.purge(&ids).await;
    let (report, wait) = (format!("GET /purges/{purge}/report"), format!("GET /purges/{purge}?wait=30"));
    let report_head = ["Accept: application/x-ndjson", "Connection: close"];
    let mut unread = Vec::new();
    for number in 0..5 {
        let mut wire = Wire::open(&test).await;
        if number < 2 {
            wire.send_head(&test, &report, &report_head).await;
        } else {
            wire.send(&pipelined()).await;
        }
        unread.push(wire);
    }
    let mut waits = Wire::open(&test).await;
    waits.send_head(&test, &wait, &[]).await;
    let mut slow = Wire::open(&test).await;
    slow.send_head(&test, &report, &report_head).await;
    let slow_port = slow.port();
    let ((begun, has_begun), (hurry, told)) = (oneshot::channel(), oneshot::channel());
    let reader = tokio::spawn(read_slowly(slow, begun, told));
    has_begun.await.unwrap();

    let mut newcomers = Vec::new();
    for _ in 0..5 {
        let mut wire = Wire::open(&test).await;
        wire.send_head(&test, &wait, &[]).await;
        newcomers.push(wire);
    }
    // They wait, the first one does, and who asks.
    test.wait_until("all who came have their places", async || in_flight(&test).await == 7).await;
    let mut late = Wire::open(&test).await;
    late.send("GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(late.rest().await.contains("\"ok\""));
    for wire in &unread {
        assert!(!is_held(&test, Some(wire.port())), "it keeps its place");
    }
    for port in [waits.port(), slow_port] {
        assert!(is_held(&test, Some(port)), "it lost its place");
    }
    hurry.send(()).unwrap();
    let rows = String::from_utf8(reader.await.unwrap()).unwrap().matches("conversationId").count();
    assert_eq!(rows, ids.len(), "the report broke off");
}

#[tokio::test]
async fn who_opens_no_window_for_an_answer_makes_room() {
    let test = house_of(1).await;
    let mut wire = Wire::open(&test).await;
    // Settings: no byte of any answer may be sent. Then a request for the document.
    wire.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0").await.unwrap();
    let fields = b"\x82\x86\x04\x0d/openapi.yaml\x01\x09localhost";
    let head = [&[0, 0, u8::try_from(fields.len()).unwrap(), 1, 5, 0, 0, 0, 1], &fields[..]].concat();
    wire.0.write_all(&head).await.unwrap();
    loop {
        let mut frame = [0; 9];
        wire.0.read_exact(&mut frame).await.unwrap();
        let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
        wire.0.read_exact(&mut vec![0; usize::try_from(length).unwrap()]).await.unwrap();
        // The head of the answer.
        if frame[3] == 1 {
            break;
        }
    }
    let mut late = Wire::open(&test).await;
    late.send("GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(late.rest().await.contains("\"ok\""));
}
