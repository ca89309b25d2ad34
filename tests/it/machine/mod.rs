//! A random walk over the real store: every transaction of the engine, the callers and the upkeep, in random order,
//! beside a simple model of upstream and of the promises. Time passes by moving the times of rows, so that nothing
//! waits.
//!
//! `model/` searches the decisions in full and tells the transactions again; here they are the real ones, with all their SQL,
//! in a world that is too large to search. After each step the rules of `checks.rs` hold; in the end everything is let run
//! out, and `ending.rs` holds what was told against what was done.
//!
//! The assumptions about upstream are in `truth.rs`.

mod asking;
mod calling;
mod checks;
mod ending;
mod ground;
mod openings;
mod scenes;
mod steering;
mod steps;
mod time;
mod truth;
mod walk;

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use genesys_purge::app::World;
use genesys_purge::config::Environment;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use ground::Ground;
use steps::plan;
use walk::Walk;

/// So many walks take a few seconds.
const WALKS: u32 = 16;

fn number_of<T: std::str::FromStr>(name: &str) -> Option<T> {
    let environment = Environment::of_process();
    let text = environment.get(name)?.to_str()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// What went wrong, in the words of the assertion.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[test]
fn a_random_walk_over_the_store_keeps_every_promise() {
    let seed = number_of("PURGE_MACHINE_SEED").unwrap_or_else(|| World::machine().seed());
    let config = Config {
        cases: number_of("PURGE_MACHINE_WALKS").unwrap_or(WALKS),
        rng_seed: RngSeed::Fixed(seed),
        // The seed is told instead: nothing is written into the source tree.
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ground = RefCell::new(runtime.block_on(Ground::prepare()));
    let tallied = RefCell::new(walk::Tally::default());
    let walked = TestRunner::new(config).run(&plan(), |plan| {
        let ground = &mut *ground.borrow_mut();
        let walked = AssertUnwindSafe(async {
            let mut walk = Walk::begin(ground, &plan).await;
            walk.run(&plan.steps).await;
            walk.end().await
        });
        match runtime.block_on(walked.catch_unwind()) {
            Ok(tally) => {
                tallied.borrow_mut().add(&tally);
                Ok(())
            }
            Err(panic) => Err(TestCaseError::fail(said(&*panic))),
        }
    });
    println!("PURGE_MACHINE_SEED={seed}: {:?}", tallied.borrow());
    match walked {
        Ok(()) => {}
        Err(TestError::Fail(reason, plan)) => {
            panic!("PURGE_MACHINE_SEED={seed}\n{reason}\n{plan:#?}")
        }
        Err(error) => panic!("PURGE_MACHINE_SEED={seed}: {error}"),
    }
}
