//! How soon the service answers while a million conversations run: reading a purge, pausing and resuming it, stopping
//! and resuming its org, and canceling it; beside the same reads of an idle service.
//!
//! `cargo bench --bench steering`

mod support;

use std::time::{Duration, Instant};

use genesys_purge::sandbox::Sandbox;
use reqwest::Method;
use serde_json::Value;

use support::{Process, organization, quantiles};

const CONVERSATIONS: u32 = 1_000_000;
const SLOTS: u32 = 10;
const READS: usize = 1000;
const ACTS: usize = 30;
/// The engine works on between two acts.
const BREATH: Duration = Duration::from_millis(300);

#[tokio::main]
async fn main() {
    let sandbox = Sandbox::start(organization(1, CONVERSATIONS, SLOTS), ([127, 0, 0, 1], 0).into(), false)
        .await
        .unwrap();
    let slots = SLOTS.to_string();
    let variables = [
        ("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", slots.as_str()),
        ("PURGE__ENGINE__POLL_INITIAL", "500ms"),
    ];
    let process = Process::start(&sandbox.url, &variables);
    let ids: Vec<_> = sandbox.sandbox().ids().collect();
    let first: Vec<_> = ids.iter().take(3).copied().collect();
    let (_, small) = process.upload(first.into_iter()).await;
    call(&process, Method::GET, &format!("/purges/{small}?wait=30")).await;
    let (idle, idle_p99) = reads(&process, &small).await;
    println!("idle: GET p50 {idle:.2} ms, p99 {idle_p99:.2} ms");

    let (took, purge) = process.upload(ids.into_iter().skip(3)).await;
    println!("accepted {CONVERSATIONS} in {took:.1} s");
    let path = format!("/purges/{purge}");
    wait_until(&process, &path, |purge| purge["counts"]["purged"].as_u64().unwrap_or_default() > 10_000)
        .await;
    let (busy, busy_p99) = reads(&process, &purge).await;
    println!("while it runs: GET p50 {busy:.2} ms, p99 {busy_p99:.2} ms, ratio of p50 {:.2}", busy / idle);
    for (act, back) in [
        (format!("{path}/pause"), format!("{path}/resume")),
        ("/orgs/default/stop".to_owned(), "/orgs/default/resume".to_owned()),
    ] {
        let (mut there, mut again) = (Vec::new(), Vec::new());
        for _ in 0..ACTS {
            there.push(call(&process, Method::POST, &act).await.0);
            again.push(call(&process, Method::POST, &back).await.0);
            tokio::time::sleep(BREATH).await;
        }
        for (path, figures) in [(act, there), (back, again)] {
            told(path.rsplit('/').next().unwrap_or_default(), path.starts_with("/orgs"), figures);
        }
    }
    let began = Instant::now();
    let (took, body) = call(&process, Method::POST, &format!("{path}/cancel")).await;
    println!("cancel: {:.1} ms, with {} conversations open", took * 1e3, open(&body));
    let body = wait_until(&process, &path, |purge| purge["state"] == "canceled").await;
    println!("canceled after {:.1} s: {}", began.elapsed().as_secs_f64(), body["counts"]);
    let breaches = sandbox.sandbox().breaches();
    assert!(breaches.is_empty(), "{breaches:?}");
}

fn told(act: &str, is_of_org: bool, figures: Vec<f64>) {
    let most = figures.iter().copied().fold(0.0, f64::max) * 1e3;
    let (median, _) = quantiles(figures);
    let what = if is_of_org { "the org" } else { "the purge" };
    println!("{act} {what}: median {median:.1} ms, longest {most:.1} ms of {ACTS} (at most 100)");
}

fn open(purge: &Value) -> u64 {
    ["pending", "eligible", "submitted"].iter().filter_map(|outcome| purge["counts"][outcome].as_u64()).sum()
}

/// Seconds until the whole answer was there, and the answer.
async fn call(process: &Process, method: Method, path: &str) -> (f64, Value) {
    let began = Instant::now();
    let request = process.client.request(method, format!("{}{path}", process.url)).bearer_auth(&process.key);
    let response = request.send().await.unwrap();
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    (began.elapsed().as_secs_f64(), body)
}

async fn reads(process: &Process, purge: &str) -> (f64, f64) {
    let mut figures = Vec::new();
    for _ in 0..READS {
        figures.push(call(process, Method::GET, &format!("/purges/{purge}")).await.0);
    }
    quantiles(figures)
}

async fn wait_until(process: &Process, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    loop {
        let (_, purge) = call(process, Method::GET, path).await;
        if is_so(&purge) {
            return purge;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
