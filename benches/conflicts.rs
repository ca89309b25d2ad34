//! What the search for offenders costs that upstream protects and does not name: on paper, beside other schedules; and in a
//! purge of 6,000 of which one in twenty is protected.
//!
//! `cargo bench --bench conflicts`

#![expect(unreachable_pub, reason = "what it shares with the tests is `pub` there")]

#[path = "../tests/it/conflicts/schedule.rs"]
mod schedule;
mod support;

use std::collections::HashSet;

use genesys_purge::sandbox::{JobDuration, Sandbox, Settings, Shares};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use schedule::{Cost, Ground, Schedule, bound, search};
use support::{Process, organization};

const GROUND: Ground = Ground { conversations: 500, slots: 5, call_ms: 500, job_ms: 60_000 };
const ROUNDS: u64 = 200;
const PURGE: u32 = 6000;

#[tokio::main]
async fn main() {
    println!("500 conversations, 5 slots, calls of 0.5 s, upstream jobs of 60 s; means of {ROUNDS} rounds");
    println!("offenders  schedule     calls (most of {ROUNDS}; bound)  jobs   seconds");
    for offenders in [1, 2, 5, 25, 250] {
        for schedule in [Schedule::Halving, Schedule::Inferring, Schedule::Searching] {
            print(offenders, schedule);
        }
    }
    purge().await;
}

fn print(offenders: u32, schedule: Schedule) {
    let costs: Vec<Cost> =
        (0..ROUNDS).map(|seed| search(schedule, GROUND, &among(seed, offenders))).collect();
    let most = costs.iter().map(|cost| cost.calls).max().unwrap_or_default();
    println!(
        "{offenders:>9}  {:<11} {:>6.1} ({most:>4}; {:>6})  {:>22.1}  {:>8.1}",
        format!("{schedule:?}"),
        mean(&costs, |cost| cost.calls),
        bound(500, offenders),
        mean(&costs, |cost| cost.jobs),
        mean(&costs, |cost| cost.ms) / 1e3
    );
}

#[expect(clippy::cast_precision_loss, reason = "a mean to look at")]
fn mean(costs: &[Cost], figure: fn(&Cost) -> u64) -> f64 {
    costs.iter().map(figure).sum::<u64>() as f64 / costs.len() as f64
}

fn among(seed: u64, offenders: u32) -> HashSet<usize> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut those = HashSet::new();
    while those.len() < offenders as usize {
        those.insert(random.random_range(0..GROUND.conversations));
    }
    those
}

/// A purge of which one in twenty is protected, in an org of 10 slots whose jobs take a second: calls by kind and answer.
async fn purge() {
    let organization = Settings {
        shares: Shares { eligible: 0.95, conflict_unnamed: 0.05, ..Shares::none() },
        job_duration: JobDuration { base_ms: 800, jitter_ms: 700 },
        deletion_lag_ms: 300,
        ..organization(1, PURGE, 10)
    };
    let sandbox = Sandbox::start(organization, ([127, 0, 0, 1], 0).into(), false).await.unwrap();
    let variables = [
        ("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "10"),
        ("PURGE__ENGINE__POLL_INITIAL", "500ms"),
        ("PURGE__ENGINE__RESUBMIT_AFTER", "1s"),
        ("PURGE__ENGINE__VERIFY_TIMEOUT", "10s"),
    ];
    let process = Process::start(&sandbox.url, &variables);
    let ids: Vec<_> = sandbox.sandbox().ids().collect();
    let began = std::time::Instant::now();
    let (_, purge) = process.upload(ids.into_iter()).await;
    let url = format!("{}/purges/{purge}?wait=60", process.url);
    loop {
        let request = process.client.get(&url).bearer_auth(&process.key);
        let purge: Value = request.send().await.unwrap().json().await.unwrap();
        match purge["state"].as_str() {
            Some("completed") => break println!("{}", purge["counts"]),
            Some("queued" | "running") => {}
            _ => panic!("{purge}"),
        }
    }
    let report = sandbox.sandbox().report(0, 500);
    assert!(report.breaches.is_empty(), "{:?}", report.breaches);
    println!("{PURGE} conversations in {:.1} s: {:?}", began.elapsed().as_secs_f64(), report.counts);
    drop(process);
    sandbox.stop().await;
}
