//! The makespan of 100,000 eligible conversations with upstream jobs of 1 s and 10 slots, beside the time that upstream
//! itself needs; how full the jobs were; how many calls it took.
//!
//! `cargo bench --bench makespan`

mod support;

use std::time::{Duration, Instant};

use genesys_purge::sandbox::{Call, Sandbox};
use serde_json::Value;

use support::{Process, organization, spread};

const CONVERSATIONS: u32 = 100_000;
const SLOTS: u32 = 10;
const BATCH: u32 = 500;
const ROUNDS: u64 = 3;

#[expect(clippy::cast_precision_loss, reason = "a ratio to look at")]
#[tokio::main]
async fn main() {
    let fewest = f64::from(CONVERSATIONS / BATCH) * 4.0;
    let least = f64::from(CONVERSATIONS) / f64::from(BATCH * SLOTS);
    let (mut ratios, mut calls, mut fullness) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let sandbox =
            Sandbox::start(organization(round, CONVERSATIONS, SLOTS), ([127, 0, 0, 1], 0).into(), false)
                .await
                .unwrap();
        let slots = SLOTS.to_string();
        let variables = [
            ("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", slots.as_str()),
            ("PURGE__ENGINE__POLL_INITIAL", "500ms"),
        ];
        let process = Process::start(&sandbox.url, &variables);
        let took = purge(&process, sandbox.sandbox()).await;
        let report = sandbox.sandbox().report(0, BATCH);
        assert!(report.breaches.is_empty(), "{:?}", report.breaches);
        let made: u64 = report
            .counts
            .iter()
            .filter(|(call, _)| **call != Call::Token)
            .flat_map(|(_, endings)| endings.values())
            .sum();
        println!(
            "round {round}: {took:.2} s, {:.3} of upstream's own time; jobs {:.1} % full; {made} calls, {:.3} of the fewest; {:.1} MiB",
            took / least,
            report.jobs.fullness * 100.0,
            made as f64 / fewest,
            process.memory().1
        );
        println!("  {:?}", report.counts);
        ratios.push(took / least);
        calls.push(made as f64 / fewest);
        fullness.push(report.jobs.fullness * 100.0);
        drop(process);
        sandbox.stop().await;
    }
    let told = |name: &str, figures: Vec<f64>| {
        let (least, median, most) = spread(figures);
        println!("{name}: median {median:.3} ({least:.3} to {most:.3})");
    };
    told("makespan / (N / (500 x 10)) (at most 1.10)", ratios);
    told("jobs full, % (at least 98)", fullness);
    told("upstream calls / the fewest (at most 1.2)", calls);
}

/// From the request to the last verified outcome.
async fn purge(process: &Process, sandbox: &Sandbox) -> f64 {
    let ids: Vec<_> = sandbox.ids().collect();
    let began = Instant::now();
    let (_, purge) = process.upload(ids.into_iter()).await;
    // A `wait` looks once a second, which would round the figure up.
    let url = format!("{}/purges/{purge}", process.url);
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    loop {
        looks.tick().await;
        let purge: Value =
            process.client.get(&url).bearer_auth(&process.key).send().await.unwrap().json().await.unwrap();
        match purge["state"].as_str() {
            Some("completed") => return began.elapsed().as_secs_f64(),
            Some("queued" | "running") => {}
            _ => panic!("{purge}"),
        }
    }
}
