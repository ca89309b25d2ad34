//! Walks that are told instead of drawn: what chance has found once, and seldom finds.

use super::ground::Ground;
use super::steps::{Plan, Step, Told};
use super::truth::{IDS, Kind};
use super::walk::{Tally, Walk};

async fn play(steps: &[Step], max_batch: usize) -> Tally {
    let plan = Plan {
        kinds: vec![Kind::Present; IDS],
        slots: 1,
        max_batch,
        mixes_purges: true,
        steps: steps.to_vec(),
    };
    let mut ground = Ground::prepare().await;
    let mut walk = Walk::begin(&mut ground, &plan).await;
    walk.run(&plan.steps).await;
    walk.end().await
}

/// Purges the ids, and asks about all of them.
fn asked(ids: u8) -> [Step; 3] {
    let answer = Step::Answer { question: 0, told: Told::Whole };
    [Step::Accept { ids, is_dry_run: false }, Step::Ask { is_first: true }, answer]
}

/// The first id was found to be protected by another purge since, and is free again; what else its slice has to draw is as
/// old as the answer before that, and is never drawn first.
#[tokio::test]
async fn what_left_a_job_for_what_was_found_since_does_not_come_back_as_old_as_it_was() {
    let protect = |is_held| Step::Protect { id: 0, is_held };
    let mut steps = asked(0b11).to_vec();
    steps.push(protect(true));
    steps.extend(asked(0b01));
    steps.push(protect(false));
    let tally = play(&steps, 1).await;
    assert_eq!(tally.deleted, 2, "{tally:?}");
}
