//! How soon an idle service turns to a purge: from its 202 to the first question to Genesys; beside one commit of the same
//! database that rested as long. The simulated Genesys runs in this process, so one clock tells both.
//!
//! `cargo bench --bench pickup`

mod support;

use std::time::{Duration, Instant};

use genesys_purge::app::World;
use genesys_purge::sandbox::{Call, Sandbox};
use serde_json::json;
use sqlx::Executor as _;

use support::{Process, organization, quantiles};

const PURGES: usize = 40;
/// Dry runs before that, one after the other: a service that is idle has worked before, and its connections know their
/// statements.
const WARM_UP: usize = 200;
/// Everything that followed is over, too.
const REST: Duration = Duration::from_millis(1100);

#[tokio::main]
async fn main() {
    let sandbox = Sandbox::start(organization(1, 1000, 10), ([127, 0, 0, 1], 0).into(), false).await.unwrap();
    let process = Process::start(&sandbox.url, &[("PURGE__ENGINE__POLL_INITIAL", "200ms")]);
    let ids: Vec<_> = sandbox.sandbox().ids().collect();
    let clock = World::machine().clock();
    let mut database = process.connect().await;
    let (mut figures, mut commits) = (Vec::new(), Vec::new());
    for ids in ids.chunks(3).take(WARM_UP) {
        process.finish(&process.purge(json!({ "conversationIds": ids, "dryRun": true })).await).await;
    }
    tokio::time::sleep(REST).await;
    for ids in ids.chunks(3).take(PURGES) {
        let purge = process.purge(json!({ "conversationIds": ids })).await;
        let accepted_at = clock();
        let asked_at = loop {
            // Whoever looks all the time takes the cores from those who work; the call tells itself when it came.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let calls = sandbox.sandbox().report(20, 500).last;
            let since = accepted_at.checked_sub(Duration::from_secs(1)).unwrap();
            let first = calls
                .into_iter()
                .filter(|entry| entry.call == Call::Details && entry.at > since)
                .min_by_key(|entry| entry.at);
            if let Some(first) = first {
                break first.at;
            }
        };
        // It may be asked before its caller has read the answer.
        figures.push(asked_at.duration_since(accepted_at).as_secs_f64().max(0.0));
        process.finish(&purge).await;
        tokio::time::sleep(REST).await;
        let began = Instant::now();
        database.execute("update limiters set refusals = refusals").await.unwrap();
        commits.push(began.elapsed().as_secs_f64());
        tokio::time::sleep(REST).await;
    }
    let ((p50, p99), (commit, _)) = (quantiles(figures), quantiles(commits));
    println!("from 202 to the first call to Genesys: p50 {p50:.2} ms (under 3), p99 {p99:.2} ms");
    println!("one commit, likewise: p50 {commit:.2} ms; {:.1} times", p50 / commit);
}
