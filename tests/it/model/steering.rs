//! What callers do: holds and acts, as `activate_hold` and `steer_purge` do them; and the sweeps that follow.

use genesys_purge::domain::act::Act;
use genesys_purge::domain::outcome::{Marks, Outcome};
use genesys_purge::domain::reason::{Step, codes};
use genesys_purge::domain::state::{JobState, PurgeState};

use super::invariants::Invariant;
use super::moves::Moves;
use super::packing::release;
use super::state::{IDS, NAMES, Set, State};
use super::tx::Tx;
use super::waiting::make_stale;

/// The id that both purges name: what is done to it matters to both.
const SHARED: usize = 0;

pub fn moves(moves: &mut Moves<'_>) {
    let from = moves.from;
    if from.ids[SHARED].is_held {
        moves.disturb("a hold is released", SHARED, |tx| hold(tx, false));
    } else if from.is_open(SHARED) {
        moves.disturb("a hold is made", SHARED, |tx| hold(tx, true));
    }
    if !from.is_strict && (0..IDS).any(|id| from.is_open(id)) {
        moves.disturb("the rules become stricter", 0, |tx| {
            tx.state.is_strict = true;
            tx.each_answer(|answer| answer.is_of_old_rules = true);
            make_stale(tx);
        });
    }
    for (purge, standing) in from.purges.iter().enumerate() {
        let next = |act| (moves.rules().leads_to)(act, standing.state, standing.has_started);
        let [canceled, paused, resumed, retried] =
            [Act::Cancel, Act::Pause, Act::Resume, Act::Retry].map(next);
        if let Some(next) = canceled {
            moves.disturb("a cancel", purge, |tx| cancel(tx, purge, next));
        }
        if let Some(next) = paused {
            moves.disturb("a pause", purge, |tx| {
                withdraw(tx, purge, false);
                tx.state.purges[purge].state = next;
            });
        }
        if let Some(next) = resumed {
            moves.progress("a resume", purge, |tx| tx.state.purges[purge].state = next);
        }
        if let Some(next) = retried {
            moves.disturb("a retry", purge, |tx| retry(tx, purge, next));
        }
        sweeps(moves, purge);
    }
    let waits = |number: usize| from.conversations[number].has(Marks::ELSEWHERE);
    for number in (0..NAMES.len()).filter(|&number| waits(number)) {
        if moves.rules().wakes && !is_reserved(&from, NAMES[number].1) {
            moves.progress("who waited is woken", number, |tx| wake(tx, number));
        }
    }
}

/// Whoever asked for it is told so.
fn hold(tx: &mut Tx<'_>, is_held: bool) {
    let id = &mut tx.state.ids[SHARED];
    (id.is_held, id.is_promised) = (is_held, is_held);
}

fn is_reserved(state: &State, id: usize) -> bool {
    state.jobs.iter().flatten().any(|job| job.carries_id(id))
}

/// The conversations of a purge.
fn of(purge: usize) -> Set {
    Set::of(NAMES.len(), |number| NAMES[number].0 == purge)
}

fn sweeps(moves: &mut Moves<'_>, purge: usize) {
    let standing = moves.from.purges[purge];
    if standing.state == PurgeState::Canceling {
        moves.progress("a sweep after a cancel", purge, |tx| sweep_canceled(tx, purge));
    }
    if standing.is_retried && standing.state != PurgeState::Canceling {
        moves.progress("a sweep after a retry", purge, |tx| {
            for number in of(purge).iter() {
                if tx.cell(number).outcome == Outcome::Failed {
                    tx.decide(Step::Retry, number, Outcome::Failed, Outcome::Pending, codes::RETRIED);
                }
            }
            tx.state.purges[purge].is_retried = false;
        });
    }
}

fn cancel(tx: &mut Tx<'_>, purge: usize, next: PurgeState) {
    withdraw(tx, purge, true);
    (tx.state.purges[purge].state, tx.state.purges[purge].is_retried) = (next, false);
}

fn retry(tx: &mut Tx<'_>, purge: usize, next: PurgeState) {
    let from = tx.state.purges[purge].state;
    if from != PurgeState::Failed {
        tx.breach(Invariant::OneOutcome, || format!("purge {purge} is {from}, and goes on"));
    }
    (tx.state.purges[purge].state, tx.state.purges[purge].is_retried) = (next, true);
    of(purge).iter().for_each(|number| tx.conversation(number).attempts = 0);
}

/// Takes a purge out of the jobs that wait for their intent.
fn withdraw(tx: &mut Tx<'_>, purge: usize, is_canceled: bool) {
    for number in 0..tx.state.jobs.len() {
        let Some(job) = tx.state.jobs[number].filter(|job| job.state == JobState::Waiting) else { continue };
        let leaving = job.carries.and(of(purge));
        let is_doubtful = job.wants_recheck || job.is_rechecked || job.losses > 0;
        for conversation in leaving.iter() {
            let cell = tx.cell(conversation);
            if cell.outcome != Outcome::Eligible {
                continue;
            }
            let (step, (outcome, reason)) = match is_canceled {
                true => (Step::Cancel, (tx.rules.when_canceled)(cell.marks)),
                false if is_doubtful => (Step::Pause, (Outcome::Pending, codes::FACTS_STALE)),
                false => continue,
            };
            tx.decide(step, conversation, Outcome::Eligible, outcome, reason);
        }
        release(tx, number, leaving);
        if tx.job(number).carries.is_empty() {
            tx.end(number);
        }
    }
}

/// Ends what of a canceled purge was not submitted.
fn sweep_canceled(tx: &mut Tx<'_>, purge: usize) {
    withdraw(tx, purge, true);
    for number in of(purge).iter() {
        let cell = tx.cell(number);
        if matches!(cell.outcome, Outcome::Pending | Outcome::Eligible) {
            let (outcome, reason) = (tx.rules.when_canceled)(cell.marks);
            tx.decide(Step::Cancel, number, cell.outcome, outcome, reason);
            tx.mark(number, Marks::NONE, Marks::ELSEWHERE);
        }
    }
}

/// What it knew is from before.
fn wake(tx: &mut Tx<'_>, number: usize) {
    tx.mark(number, Marks::NONE, Marks::ELSEWHERE);
    if tx.cell(number).outcome == Outcome::Eligible {
        tx.decide(Step::Wake, number, Outcome::Eligible, Outcome::Pending, codes::FACTS_STALE);
    }
}
