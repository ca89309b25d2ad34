//! Upstream: its jobs delete, end, fail or are forgotten; it protects ids, and hides them for a while. Polls tell of it.

use genesys_purge::domain::outcome::Outcome;
use genesys_purge::domain::state::JobState;

use super::moves::Moves;
use super::state::{Call, IDS, Job, Overdue, Set, State, Truth, Wait};
use super::tx::Tx;

pub fn moves(moves: &mut Moves<'_>) {
    let from = moves.from;
    for (number, job) in from.jobs.iter().enumerate() {
        let Some(job) = job else { continue };
        let to_delete = match job.call {
            Some(Call::Yes(to_delete)) => to_delete,
            _ => job.to_delete,
        };
        to_delete.iter().for_each(|id| delete(moves, id));
        if job.state == JobState::Submitted {
            runs(moves, number, job);
        }
    }
    for (number, unknown) in from.unknown.iter().enumerate().filter(|(_, unknown)| !unknown.is_empty()) {
        unknown.iter().for_each(|id| delete(moves, id));
        moves.disturb("a job that nobody knows fails", number, |tx| tx.state.unknown[number] = Set(0));
    }
    for id in 0..IDS {
        let now = from.ids[id];
        if now.is_hidden {
            moves.progress("it shows again", id, |tx| tx.state.ids[id].is_hidden = false);
        } else if now.truth == Truth::Present && from.is_open(id) {
            // Twice, and it would be seen to be gone: that is what the absence gap is long enough for.
            if !from.has_hidden {
                moves.disturb("answers leave it out", id, |tx| {
                    (tx.state.ids[id].is_hidden, tx.state.has_hidden) = (true, true);
                });
            }
            moves.disturb("upstream protects it", id, |tx| tx.state.ids[id].truth = Truth::Held);
        }
    }
}

fn delete(moves: &mut Moves<'_>, id: usize) {
    moves.progress("upstream deletes it", id, |tx| tx.state.ids[id].truth = Truth::Gone);
}

fn runs(moves: &mut Moves<'_>, number: usize, job: &Job) {
    if !job.has_ended && !job.is_forgotten {
        moves.progress("an upstream job ends", number, |tx| tx.job(number).has_ended = true);
        moves.disturb("an upstream job is forgotten", number, |tx| tx.job(number).is_forgotten = true);
        if !job.to_delete.is_empty() {
            moves.disturb("an upstream job fails", number, |tx| {
                (tx.job(number).has_ended, tx.job(number).to_delete) = (true, Set(0));
            });
            moves.disturb("an upstream job fails and is forgotten", number, |tx| {
                (tx.job(number).is_forgotten, tx.job(number).to_delete) = (true, Set(0));
            });
        }
    }
    // What is open of a job past its deadline is looked at before it is polled again.
    let is_looked_at = job.overdue >= Overdue::Noted && has_open(&moves.from, job);
    if job.look.is_none() && !is_looked_at {
        moves.progress("a poll", number, |tx| poll(tx, number));
    }
}

fn has_open(state: &State, job: &Job) -> bool {
    job.carries.iter().any(|number| state.conversations[number].outcome() == Outcome::Submitted)
}

/// As `record_poll` does it, of 404s the third.
fn poll(tx: &mut Tx<'_>, number: usize) {
    let job = tx.job(number);
    let has_passed_twice = job.overdue == Overdue::GivenUp;
    if job.overdue == Overdue::Passed && (job.has_ended || job.is_forgotten) {
        job.overdue = Overdue::InTime;
    }
    if job.has_ended || job.is_forgotten || has_passed_twice {
        job.is_lost = job.is_forgotten;
        (job.state, job.wait) = (JobState::Verifying, Wait::Begun);
    } else if job.overdue == Overdue::Passed {
        job.overdue = Overdue::Noted;
    }
}
