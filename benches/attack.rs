//! What callers who mean no good cost the others: answers that nobody takes, waits, heads that never end, small bodies that
//! unfold to large ones. "Healthy" is another key's request on a new connection.
//!
//! `cargo bench --bench attack`

mod support;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use support::{Process, quantiles};

const HEALTHY: usize = 40;
/// So long an attack goes on before it is measured.
const BUILD_UP: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    let process = Process::start("http://127.0.0.1:9", &[("PURGE__ENGINE__PAUSED", "true")]);
    tell("nobody else", &process).await;
    unread_answers(&process).await;
    waits(&process).await;
    slow_heads(&process).await;
    unfolding_bodies(&process).await;
    tokio::time::sleep(BUILD_UP).await;
    tell("all over", &process).await;
}

/// Median and longest time of healthy requests, and the memory of the service.
async fn tell(when: &str, process: &Process) {
    let mut figures = Vec::new();
    for _ in 0..HEALTHY {
        let request = fresh(process, Method::GET, "/purges?limit=1");
        let began = Instant::now();
        request.send().await.unwrap().error_for_status().unwrap();
        figures.push(began.elapsed().as_secs_f64());
    }
    let longest = figures.iter().copied().fold(0.0, f64::max) * 1e3;
    let (now, peak) = process.memory();
    let (p50, _) = quantiles(figures);
    println!(
        "{when}: healthy p50 {p50:.1} ms, longest {longest:.1} ms; memory {now:.0} MiB, highest {peak:.0} MiB"
    );
    process.forget_peak();
}

/// A request on a connection of its own.
fn fresh(process: &Process, method: Method, path: &str) -> RequestBuilder {
    let client = Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    client.request(method, format!("{}{path}", process.url)).bearer_auth(&process.key)
}

/// Clients that take nothing of an answer but its head, on a connection each.
fn reluctant(number: usize) -> Vec<Client> {
    let client = || {
        let client = Client::builder().tls_certs_only([]).no_proxy().no_gzip().http2_prior_knowledge();
        client.http2_initial_stream_window_size(1).build().unwrap()
    };
    (0..number).map(|_| client()).collect()
}

/// 20 connections ask 100 times each for the largest file, without a key, and take none.
async fn unread_answers(process: &Process) {
    let mut asked = JoinSet::new();
    for client in reluctant(20) {
        for _ in 0..100 {
            let request = client.get(format!("{}/docs/swagger-ui-bundle.js", process.url));
            asked.spawn(async move {
                let response = request.send().await;
                tokio::time::sleep(Duration::from_mins(1)).await;
                drop(response);
            });
        }
    }
    tokio::time::sleep(BUILD_UP).await;
    tell("2,000 answers that nobody takes", process).await;
    asked.shutdown().await;
}

/// 5,000 waits with one key; meanwhile a hold is made and an org stopped.
async fn waits(process: &Process) {
    let purge = process.accept(1, 3).await.1;
    let refused = Arc::new(AtomicUsize::new(0));
    let mut waiting = JoinSet::new();
    for client in reluctant(250) {
        for _ in 0..20 {
            let request =
                client.get(format!("{}/purges/{purge}?wait=60", process.url)).bearer_auth(&process.key);
            let refused = Arc::clone(&refused);
            waiting.spawn(async move {
                let is_refused = request.send().await.is_ok_and(|response| response.status() == 503);
                refused.fetch_add(usize::from(is_refused), Ordering::Relaxed);
            });
        }
    }
    tokio::time::sleep(BUILD_UP).await;
    let timed = async |path: &str, body: serde_json::Value| {
        let request = fresh(process, Method::POST, path).json(&body);
        let began = Instant::now();
        request.send().await.unwrap().error_for_status().unwrap();
        began.elapsed().as_secs_f64() * 1e3
    };
    let id = uuid::Uuid::from_u128(7);
    let hold = timed("/holds", json!({ "matter": "m", "conversationIds": [id] })).await;
    let stop = timed("/orgs/default/stop", json!({})).await;
    timed("/orgs/default/resume", json!({})).await;
    println!(
        "5,000 waits with one key: {} refused; a hold took {hold:.1} ms, a stop {stop:.1} ms",
        refused.load(Ordering::Relaxed)
    );
    tell("5,000 waits with one key", process).await;
    waiting.shutdown().await;
}

/// 2,000 connections with a head that never ends.
async fn slow_heads(process: &Process) {
    let address = process.url.strip_prefix("http://").unwrap();
    let mut heads = Vec::new();
    for _ in 0..2000 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Those that made room are closed already.
        drop(stream.write_all(b"GET /health/live HTTP/1.1\r\nX-Slow: ").await);
        heads.push(stream);
    }
    tell("2,000 heads that never end", process).await;
}

/// Eight at a time send bodies of some KiB that unfold to millions of empty ids.
async fn unfolding_bodies(process: &Process) {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(b"{\"conversationIds\": [\"\"").unwrap();
    for _ in 0..5_000_000 {
        encoder.write_all(b",\"\"").unwrap();
    }
    encoder.write_all(b"]}").unwrap();
    let body = bytes::Bytes::from(encoder.finish().unwrap());
    println!("a body of {} KiB unfolds to 15 MB", body.len() / 1024);
    let mut sending = JoinSet::new();
    for _ in 0..8 {
        let request = process.client.post(format!("{}/purges", process.url)).bearer_auth(&process.key);
        let request = request.header("content-type", "application/json").header("content-encoding", "gzip");
        let request = request.body(body.clone());
        sending.spawn(async move {
            while let Ok(response) = request.try_clone().unwrap().send().await {
                assert!([422, 503].contains(&response.status().as_u16()), "{}", response.status());
            }
        });
    }
    tokio::time::sleep(BUILD_UP).await;
    tell("bodies that unfold", process).await;
    sending.shutdown().await;
}
