//! Everything goes wrong at once: replicas are killed, the database's server dies, a fourth of all calls fails in
//! every way, while callers hold, release, pause, cancel and retry. Afterwards no promise may be broken.
//!
//! `PURGE_CHAOS_SEED` repeats a schedule. `PURGE_CHAOS_MINUTES` runs larger ones, one after the other with consecutive
//! seeds, until this time has passed; `PURGE_CHAOS_MINUTES=0` with the seed of one of these repeats it.
//! `PURGE_CHAOS_LOGS` names a folder for the logs of the replicas.

mod callers;
mod faults;
mod replicas;
mod schedule;
mod stage;
mod verdict;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use genesys_purge::app::World;
use genesys_purge::config::Environment;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::support::books::{count, eventually};
use callers::Callers;
use schedule::{Act, Extent, Step};
use stage::{SLOTS, Stage};

/// So long is waited for what is put off before everything dies once more.
const PATIENCE: Duration = Duration::from_secs(12);

/// Told whether the test fails or not, and whatever becomes of its output.
fn tell(line: &str) {
    std::io::stderr().write_all(format!("chaos: {line}\n").as_bytes()).unwrap();
}

fn number_of(name: &str) -> Option<u64> {
    let environment = Environment::of_process();
    let text = environment.text(name).unwrap()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes both cores for a minute and more: run it by itself, with --ignored"]
async fn whatever_dies_every_promise_is_kept() {
    let first = number_of("PURGE_CHAOS_SEED").unwrap_or_else(|| World::machine().seed());
    let minutes = number_of("PURGE_CHAOS_MINUTES");
    // A machine that does other tests at the same time is given less.
    let extent = match minutes {
        Some(_) => Extent { rounds: 2, large: 20_000 },
        None => Extent { rounds: 1, large: 8_000 },
    };
    let until = Instant::now() + Duration::from_mins(minutes.unwrap_or_default());
    for storms in 1.. {
        storm(first.wrapping_add(storms - 1), extent).await;
        if Instant::now() >= until {
            tell(&format!("{storms} storms, all kept"));
            return;
        }
    }
}

/// A schedule on a stage of its own, the calm after it, and the verdict.
async fn storm(seed: u64, extent: Extent) {
    tell(&format!("PURGE_CHAOS_SEED={seed}, {} conversations", extent.conversations()));
    let begun = Instant::now();
    let stage = Stage::set(seed, extent.conversations()).await;
    faults::break_loose(stage.sandbox.sandbox());
    let callers = Arc::new(Callers::of(stage, seed).await);
    play(&callers, schedule::draw(seed, extent)).await;
    let struck = faults::struck(callers.stage.sandbox.sandbox());
    tell(&format!("{:.1?}: the schedule is over, {}", begun.elapsed(), progress(&callers).await));

    callers.stage.calm_down();
    callers.stage.end_of_the_world().await;
    callers.let_all_go_on().await;
    let mut worlds = 1;
    // What is in doubt waits for as long as the slowest job seemed to take, which a dead replica was to ask after.
    while worlds < 5 && timeout(PATIENCE, all_is_over(&callers)).await.is_err() {
        callers.stage.end_of_the_world().await;
        worlds += 1;
    }
    all_is_over(&callers).await;
    tell(&format!("{:.1?}: all is final, after {worlds} ends of the world", begun.elapsed()));
    let retried = callers.retry_failed().await;
    all_is_over(&callers).await;
    let outcomes = verdict::judge(&callers).await;
    tell_figures(&callers, &struck, retried);
    tell(&format!("{outcomes:?}"));
    tell(&format!("PURGE_CHAOS_SEED={seed}: all kept after {:.1?}", begun.elapsed()));
}

/// Does everything at its time, however long what came before takes.
async fn play(callers: &Arc<Callers>, steps: Vec<Step>) {
    let done = |done: Result<(), JoinError>| {
        if let Err(error) = done {
            std::panic::resume_unwind(error.into_panic());
        }
    };
    let (begun, mut acts) = (Instant::now(), JoinSet::new());
    for Step { at, act } in steps {
        sleep_until(begun + at).await;
        let callers = Arc::clone(callers);
        acts.spawn(async move { callers.act(act).await });
        while let Some(ended) = acts.try_join_next() {
            done(ended);
        }
    }
    while let Some(ended) = acts.join_next().await {
        done(ended);
    }
}

/// Waits until every purge is final, every job done and every delivery made.
async fn all_is_over(callers: &Callers) {
    let mut connection = callers.stage.database.connect().await;
    for (what, sql) in [
        ("every purge is final", "select count(*) from purges where finished_at is null"),
        ("every job is done", "select count(*) from jobs where state <> 'done'"),
        ("every delivery is made", "select count(*) from deliveries where state = 'pending'"),
    ] {
        eventually(what, async || count(&mut connection, sql).await == 0).await;
    }
}

async fn progress(callers: &Callers) -> String {
    let connection = &mut callers.stage.database.connect().await;
    let open = count(connection, "select count(*) from purges where finished_at is null").await;
    let pending = "select coalesce(sum(pending + eligible + submitted), 0)::bigint from purges";
    let jobs = "select count(*) from jobs where submitted_at is not null";
    format!(
        "{open} purges and {} conversations are open, {} jobs were submitted",
        count(connection, pending).await,
        count(connection, jobs).await
    )
}

fn tell_figures(callers: &Callers, struck: &BTreeMap<String, u32>, retried: usize) {
    let stage = &callers.stage;
    let report = stage.sandbox.sandbox().report(0, 200);
    assert!(report.jobs.most_live <= SLOTS as usize, "{:?}", report.jobs);
    let (kills, restarts) = (*stage.kills.lock().unwrap(), *stage.restarts.lock().unwrap());
    tell(&format!(
        "{kills} replicas killed, the database {restarts} times, {retried} purges retried at the end"
    ));
    let (faults, calls): (u32, u64) =
        (struck.values().sum(), report.counts.values().flat_map(BTreeMap::values).sum());
    tell(&format!(
        "{calls} calls, {faults} faults, {} jobs, {} live at most",
        report.jobs.jobs, report.jobs.most_live
    ));
    tell(&format!("{struck:?}"));
}

#[test]
fn a_seed_brings_its_schedule_back() {
    let extent = Extent { rounds: 3, large: 1_000 };
    let steps = schedule::draw(7, extent);
    assert_eq!(steps, schedule::draw(7, extent));
    assert_ne!(steps, schedule::draw(8, extent));
    let kills =
        |steps: &[Step]| steps.iter().filter(|step| matches!(step.act, Act::KillReplica { .. })).count();
    assert_eq!(kills(&steps), 21);
    for Step { act, .. } in &steps {
        if let Act::Purge { places, .. } | Act::Hold { places, .. } = act {
            assert!(places.iter().all(|place| *place < extent.conversations()), "{act:?}");
        }
    }
}
