//! Many listeners, some of which do not read.

use std::time::Duration;

use genesys_purge::app::Role;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{event, feed, whole};
use crate::support::Setup;
use crate::support::postgres::new_id;
use crate::support::stream::Stream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_dropped_and_the_others_are_told_everything() {
    let setup = Setup::new().role(Role::Api);
    let impatient = setup.connections(|terms| {
        (terms.head, terms.stalled) = (Duration::from_millis(400), Duration::from_secs(3));
    });
    let test = impatient.start().await;
    let mut reader = Stream::open(feed(&test), Some("0")).await;
    let mut stuck = Vec::new();
    for _ in 0..5 {
        let mut wire = TcpStream::connect(test.url.trim_start_matches("http://")).await.unwrap();
        let head = format!(
            "GET /events?since=0 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n\r\n",
            test.key
        );
        wire.write_all(head.as_bytes()).await.unwrap();
        stuck.push(wire);
    }
    let read = async {
        let mut read = Vec::new();
        while read.len() < 800 {
            read.push(reader.next().await.unwrap().data);
        }
        read
    };
    // More than the sockets of both sides hold.
    let write = async {
        for _ in 0..40 {
            let large = "repeat('x', 20000)";
            let id = new_id()();
            let (id, many) = (id.to_string(), "generate_series(1, 20)");
            let insert = event(id.parse().unwrap(), None)
                .replace(&format!("values ('{id}'"), "select gen_random_uuid()")
                .replace("'{}'", &format!("jsonb_build_object('x', {large})"))
                .replace("clock_timestamp())", &format!("clock_timestamp() from {many}"));
            test.sql(&insert).await;
        }
        whole(&test).await
    };
    let (read, everything) = tokio::join!(read, write);
    assert_eq!(read, everything);
    // Who begins to read now would be a reader.
    let listening = async || test.counted("genesys_purge_streams", "of=\"feed\"").await;
    test.wait_until("they are dropped", async || listening().await == 1).await;
    for mut wire in stuck {
        // What the systems hold, and then the end: it was cut before all was told.
        let mut read = Vec::new();
        let _ =
            timeout(Duration::from_secs(30), wire.read_to_end(&mut read)).await.expect("it is held for ever");
        let text = String::from_utf8_lossy(&read);
        assert!(!text.contains("\nid: 800\n"), "it was told everything");
    }
    let id = new_id()();
    test.sql(&event(id, None)).await;
    assert_eq!(reader.next().await.unwrap().data["id"], id.to_string());
}
