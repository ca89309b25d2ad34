//! What those who listen cost, and how soon they are told: 2,000 streams of the feed, of one purge and of a purge each, and the
//! time from an answer to the event of it on a stream.
//!
//! `cargo bench --bench listeners`

mod support;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::resource::{Resource, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use support::{Process, quantiles};

const LISTENERS: usize = 2000;
const EVENTS: usize = 50;
/// A key has a quarter of the places.
const KEYS: usize = 4;

/// A stream, as the bytes of a connection of its own: a client with a pool would cost more than the service.
struct Stream {
    wire: TcpStream,
    read: Vec<u8>,
}

impl Stream {
    async fn open(process: &Process, key: &str, path: &str) -> Self {
        let mut wire = TcpStream::connect(process.url.strip_prefix("http://").unwrap()).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\nAccept: text/event-stream\r\n\r\n"
        );
        wire.write_all(head.as_bytes()).await.unwrap();
        let mut stream = Self { wire, read: Vec::new() };
        let head = stream.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        stream
    }

    /// What came up to this text.
    async fn until(&mut self, text: &str) -> String {
        loop {
            let read = String::from_utf8_lossy(&self.read);
            if let Some(at) = read.find(text) {
                let head = read[..at + text.len()].to_owned();
                self.read.drain(..head.len());
                return head;
            }
            let mut more = [0; 4096];
            let number = self.wire.read(&mut more).await.unwrap();
            assert!(number > 0, "it ended: {}", String::from_utf8_lossy(&self.read));
            self.read.extend_from_slice(&more[..number]);
        }
    }
}

#[tokio::main]
async fn main() {
    // A connection is a file, here too.
    setrlimit(Resource::RLIMIT_NOFILE, 20_000, 20_000).unwrap();
    let process = Process::start("http://127.0.0.1:9", &[("PURGE__ENGINE__PAUSED", "true")]);
    let keys: Vec<String> = (0..KEYS).map(|_| process.make_key()).collect();
    tell_soon(&process).await;
    many(&process, &keys, "the feed", |_| "/events".to_owned()).await;
    let purge = process.accept(1, 3).await.1;
    many(&process, &keys, "one purge", |_| format!("/purges/{purge}/events")).await;
    let mut purges = Vec::new();
    for seed in 0..LISTENERS as u64 {
        purges.push(process.accept(10 + seed, 1).await.1);
    }
    many(&process, &keys, "a purge each", |number| format!("/purges/{}/events", purges[number])).await;
}

/// Stops and resumes the org, which is an event each.
async fn act(process: &Process, number: usize) {
    let act = ["stop", "resume"][number % 2];
    let request =
        process.client.post(format!("{}/orgs/default/{act}", process.url)).bearer_auth(&process.key);
    request.json(&json!({})).send().await.unwrap().error_for_status().unwrap();
}

/// From the answer to an act to its event on a stream.
async fn tell_soon(process: &Process) {
    let mut stream = Stream::open(process, &process.key, "/events").await;
    let mut figures = Vec::new();
    for number in 0..EVENTS {
        act(process, number).await;
        let answered = Instant::now();
        stream.until(["event: org_stopped", "event: org_resumed"][number % 2]).await;
        figures.push(answered.elapsed().as_secs_f64());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (p50, p99) = quantiles(figures);
    println!("from the answer to the stream: p50 {p50:.1} ms, p99 {p99:.1} ms");
}

/// So many listen; what that costs, and how soon all of them are told.
async fn many(process: &Process, keys: &[String], of: &str, path: impl Fn(usize) -> String) {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, _) = process.memory();
    let busy = process.busy();
    let opened = Instant::now();
    let mut streams = Vec::new();
    for number in 0..LISTENERS {
        streams.push(Stream::open(process, &keys[number % keys.len()], &path(number)).await);
    }
    let opened = opened.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (after, _) = process.memory();
    let idle = process.busy();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = (process.busy() - idle) / 5.0 * 100.0;
    println!(
        "{LISTENERS} listen to {of}: {:.1} MiB more ({before:.0} before), opened in {opened:.1} s ({:.1} s of work), idle at {idle:.0} % of a core",
        after - before,
        process.busy() - busy
    );
    if of == "the feed" {
        act(process, 0).await;
        let told = Instant::now();
        join_all(streams.iter_mut().map(|stream| stream.until("event: org_stopped"))).await;
        println!("all are told within {:.0} ms of the answer", told.elapsed().as_secs_f64() * 1e3);
        act(process, 1).await;
    }
}
