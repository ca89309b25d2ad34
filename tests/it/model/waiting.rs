//! Time: each wait passes for itself, and never before what upstream keeps to. What takes longer than that is a disturbance.

use genesys_purge::domain::outcome::{Marks, Outcome};
use genesys_purge::domain::state::JobState;

use super::calling::ids_of;
use super::moves::Moves;
use super::state::{Job, NAMES, Overdue, Set, State, Wait};
use super::tx::Tx;

pub fn moves(moves: &mut Moves<'_>) {
    let from = moves.from;
    for (number, job) in from.jobs.iter().enumerate() {
        let Some(job) = job else { continue };
        match job.state {
            JobState::InDoubt => in_doubt(moves, number, job),
            JobState::Submitted => deadlines(moves, number, job),
            JobState::Verifying => ended(moves, number, job),
            JobState::Waiting | JobState::Submitting | JobState::Done => {}
        }
    }
    let absent = from
        .conversations_with(|conversation| conversation.has(Marks::ABSENT) && !conversation.is_absence_old);
    // Nothing is hidden for as long as the gap.
    if !absent.is_empty() && !from.ids.iter().any(|id| id.is_hidden) {
        moves.progress("the absence gap passes", 0, |tx| {
            absent.iter().for_each(|number| tx.conversation(number).is_absence_old = true);
        });
    }
    moves.disturb("facts grow old", 0, make_stale);
}

/// Facts by which something may be submitted are too old from now on.
pub fn make_stale(tx: &mut Tx<'_>) {
    for number in 0..NAMES.len() {
        let conversation = tx.conversation(number);
        if matches!(conversation.outcome(), Outcome::Eligible | Outcome::Submitted) {
            conversation.facts.is_stale = true;
        }
    }
}

fn in_doubt(moves: &mut Moves<'_>, number: usize, job: &Job) {
    let from = moves.from;
    if job.wait == Wait::Begun {
        let pass = |tx: &mut Tx<'_>| tx.job(number).wait = Wait::Passed;
        if !is_at_work(&from, job) {
            moves.progress("the window passes", number, pass);
        } else if from.was_late {
            moves.progress("the window passes once more", number, pass);
        } else {
            moves.disturb("the window passes, and the upstream job is at work", number, |tx| {
                tx.state.was_late = true;
                pass(tx);
            });
        }
    }
    if !job.is_past_deadline {
        moves.disturb("the deadline of a lost job passes", number, |tx| {
            tx.job(number).is_past_deadline = true;
        });
    }
}

/// An upstream job that nobody knows may delete something that it carries.
fn is_at_work(state: &State, job: &Job) -> bool {
    state.unknown.iter().any(|unknown| !unknown.and(ids_of(job)).is_empty())
}

fn deadlines(moves: &mut Moves<'_>, number: usize, job: &Job) {
    match job.overdue {
        Overdue::InTime => {
            moves.disturb("the deadline of a job passes", number, |tx| {
                tx.job(number).overdue = Overdue::Passed;
            });
        }
        Overdue::Noted => moves.progress("the deadline of a job passes again", number, |tx| {
            tx.job(number).overdue = Overdue::GivenUp;
        }),
        Overdue::Passed | Overdue::GivenUp => {}
    }
}

/// Deletions of a job that upstream ended show before the first wait has passed, of one that it lost or that was given up
/// before the second has.
fn ended(moves: &mut Moves<'_>, number: usize, job: &Job) {
    let has_shown = job.to_delete == Set(0);
    let is_given_up = job.is_lost || job.overdue != Overdue::InTime;
    match job.wait {
        Wait::Begun if has_shown || is_given_up => {
            moves.progress("deletions have shown, by experience", number, |tx| {
                tx.job(number).wait = Wait::Passed;
            });
        }
        Wait::Passed if has_shown => {
            moves.progress("deletions have shown, by the settings", number, |tx| {
                tx.job(number).wait = Wait::Over;
            });
        }
        Wait::Begun | Wait::Passed | Wait::Over => {}
    }
}
