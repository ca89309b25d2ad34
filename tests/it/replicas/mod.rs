//! Many processes on one database: workers that freeze and wake, limits that all keep together, roles apart, versions side by
//! side.

mod clocks;
mod leases;
mod limits;
mod roles;
mod stopping;

use genesys_purge::app::engine_terms;
use genesys_purge::upkeep::leases::expire;
use reqwest::Method;

use crate::support::TestService;
use crate::support::process::Serving;

/// A worker of its own.
async fn worker(test: &TestService) -> Serving {
    Serving::start(test.serve(&["--role", "worker"])).await
}

/// Ends all leases at once, as their time would, and has them taken up.
async fn end_leases(test: &TestService) {
    for table in ["jobs", "slices", "deliveries"] {
        test.sql(&format!(
            "update {table} set lease_until = clock_timestamp() where lease_until is not null"
        ))
        .await;
    }
    let store = test.store().await;
    expire(&store, "default", &engine_terms(&test.settings)).await.unwrap();
    store.close().await;
}

/// How many steps of that name a process has ended, in whatever way.
async fn steps(test: &TestService, process: &Serving, name: &str) -> u64 {
    let page = process.request(&test.key, Method::GET, "/metrics").send().await.unwrap();
    let page = page.error_for_status().unwrap().text().await.unwrap();
    let of_step = format!("step=\"{name}\"");
    let counts = page.lines().filter(|line| {
        line.starts_with("genesys_purge_step_duration_seconds_count") && line.contains(&of_step)
    });
    counts.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}
