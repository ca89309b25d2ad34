//! Small purges as they arrive: three ids by JSON, one caller after the other and 32 at once, over a Unix socket and over
//! TCP with an ordinary role; beside pgbench, which runs the same inserts as one statement.
//!
//! `cargo bench --bench arrivals`

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use genesys_purge::config::Environment;
use genesys_purge::postgres::Binaries;
use serde_json::json;

use support::server::NetworkServer;
use support::{Process, quantiles, random_ids, spread};

const ROUNDS: usize = 3;
const ALONE: usize = 400;
const CALLERS: u64 = 32;
const WATCHED: Duration = Duration::from_secs(5);
const ROLE: &str = "service";

/// What a small accept inserts.
const SAME_INSERTS: &str = "
with clock as materialized (
    select clock_timestamp() as now, gen_random_uuid() as id,
           array[gen_random_uuid(), gen_random_uuid(), gen_random_uuid()] as ids
), purge as (
    insert into purges (id, org, state, labels, dry_run, requested_by, request_id, created_at, turn_at, event_no,
                        duplicates, total, pending)
    select id, 'default', 'queued', '{}', false, 'bench', 'r', now, now, 1, 0, 3, 3 from clock
), slice as (
    insert into slices (purge_id, slice_no, org, ids, outcomes, pending, run_at)
    select id, 0, 'default', ids, '\\x000000', 3, now from clock
), entries as (
    insert into conversations (conversation_id, purge_id, ordinal)
    select entry, clock.id, no - 1 from clock, unnest(ids) with ordinality as u (entry, no)
)
insert into events (id, type, org, purge_id, event_no, actor, request_id, payload, at)
select gen_random_uuid(), 'purge_accepted', 'default', id, 1, 'bench', 'r', '{\"total\": 3}', now from clock;
";

/// A way to the server.
struct Way {
    name: &'static str,
    process: Process,
    /// What pgbench is told to reach the same database.
    arguments: Vec<String>,
}

#[tokio::main]
async fn main() {
    let server = NetworkServer::start(true).await;
    server.make_role(ROLE).await;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("inserts.sql");
    std::fs::write(&script, SAME_INSERTS).unwrap();
    let mut ways = Vec::new();
    for (name, database) in [("socket", "by_socket"), ("TCP", "by_tcp")] {
        server.make_database(database, ROLE).await;
        let (socket, tcp) = (server.socket_arguments(), server.tcp_arguments());
        let (url, host) = match name {
            "socket" => (server.socket_url(ROLE, database), socket),
            _ => (server.url(ROLE, database), tcp),
        };
        // The engine surveys what came, and begins nothing.
        let variables = [("DATABASE_URL", url.as_str()), ("PURGE__ENGINE__PAUSED", "true")];
        let process = Process::start("http://127.0.0.1:9", &variables);
        let arguments = [host, vec!["-U".to_owned(), ROLE.to_owned(), database.to_owned()]].concat();
        ways.push(Way { name, process, arguments });
    }
    let (mut ratios, mut shares) = (Vec::new(), [Vec::new(), Vec::new()]);
    for round in 0..ROUNDS {
        let mut medians = Vec::new();
        for (way, shares) in ways.iter().zip(&mut shares) {
            let (p50, p99) = alone(&way.process).await;
            let (rate, peers) = (crowd(&way.process).await, pgbench(&way.arguments, &script));
            println!(
                "round {round}, {}: alone p50 {p50:.2} ms, p99 {p99:.2} ms; {CALLERS} at once {rate:.0} a second, pgbench {peers:.0}",
                way.name
            );
            medians.push(p50);
            shares.push(rate / peers);
        }
        ratios.push(medians[1] / medians[0]);
    }
    let told = |name: &str, figures: Vec<f64>| {
        let (least, median, most) = spread(figures);
        println!("{name}: median {median:.2} ({least:.2} to {most:.2})");
    };
    told("p50 over TCP / over the socket (at most 1.5)", ratios);
    for (way, shares) in ways.iter().zip(shares) {
        told(&format!("rate of {CALLERS} callers / pgbench, {} (at least 0.5)", way.name), shares);
    }
}

async fn accept(process: &Process, seed: u64) {
    let ids: Vec<_> = random_ids(seed, 3).collect();
    let request = process.client.post(format!("{}/purges", process.url)).bearer_auth(&process.key);
    let response = request.json(&json!({ "conversationIds": ids })).send().await.unwrap();
    assert_eq!(response.status(), 202);
    response.bytes().await.unwrap();
}

/// Median and 99th percentile of one after the other, in milliseconds.
async fn alone(process: &Process) -> (f64, f64) {
    let mut figures = Vec::new();
    for seed in 0..ALONE as u64 {
        let began = Instant::now();
        accept(process, seed).await;
        figures.push(began.elapsed().as_secs_f64());
    }
    quantiles(figures)
}

/// How many a second many at once get through.
#[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
async fn crowd(process: &Process) -> f64 {
    let (done, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let callers = (0..CALLERS).map(async |caller| {
        let mut seed = caller << 32;
        while began.elapsed() < WATCHED {
            accept(process, seed).await;
            seed += 1;
            done.fetch_add(1, Ordering::Relaxed);
        }
    });
    futures_util::future::join_all(callers).await;
    done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}

/// How many a second as many clients of pgbench get through.
fn pgbench(arguments: &[String], script: &Path) -> f64 {
    let binaries = Binaries::find(Environment::of_process().path()).unwrap();
    let program = binaries.best().join("pgbench");
    let program = if program.exists() { program } else { "/usr/bin/pgbench".into() };
    let output = Command::new(program)
        .args(["-n", "-M", "prepared", "-c", &CALLERS.to_string(), "-j", "2"])
        .args(["-T", &WATCHED.as_secs().to_string(), "-f"])
        .arg(script)
        .args(arguments)
        .env("PGPASSWORD", support::server::PASSWORD)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "));
    let line = line.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    line.split(' ').next().unwrap().parse().unwrap()
}
