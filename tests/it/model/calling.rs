//! The submit: the call, upstream's answer to it, and how that is recorded (`record_accepted`, `record_refused`, `record_lost`,
//! `expire_submits`).

use std::time::Duration;

use genesys_purge::domain::outcome::{Marks, Outcome};
use genesys_purge::domain::reason::{Reason, Step, codes};
use genesys_purge::domain::state::JobState;

use super::invariants::Invariant;
use super::moves::Moves;
use super::packing::release;
use super::pieces::{Cause, split};
use super::state::{Call, IDS, Job, NAMES, Overdue, Set, State, Truth, Wait};
use super::tx::Tx;

/// How long upstream jobs take, and how long after it deletions show: together as long as one may go on unseen.
const LONGEST: Duration = Duration::from_mins(5);
const LAG: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_mins(2);

pub fn moves(moves: &mut Moves<'_>) {
    let from = moves.from;
    for (number, job) in from.jobs.iter().enumerate() {
        let Some(job) = job.filter(|job| job.state == JobState::Submitting) else { continue };
        match job.call {
            None => moves.progress("the lease of a submit ends", number, |tx| lose(tx, number)),
            Some(Call::Committed { is_late: true }) => {
                moves.progress("too late to call", number, |tx| call_late(tx, number));
            }
            Some(Call::Committed { is_late: false }) => call(moves, number, &job),
            Some(answer) => moves.progress("what a submit answered is recorded", number, |tx| {
                tx.job(number).call = None;
                record(tx, number, answer);
            }),
        }
        if job.call.is_some() {
            moves.disturb("who submits dies", number, |tx| {
                if let Some(Call::Yes(to_delete)) = tx.job(number).call.take() {
                    nobody_knows(tx, to_delete);
                }
            });
        }
    }
}

/// An upstream job of which nobody knows. So few disturbances leave no more than there is room for.
pub fn nobody_knows(tx: &mut Tx<'_>, to_delete: Set) {
    if !to_delete.is_empty() {
        let free = tx.state.unknown.iter_mut().find(|unknown| unknown.is_empty());
        *free.unwrap() = to_delete;
    }
}

/// Everything that upstream may answer.
fn call(moves: &mut Moves<'_>, number: usize, job: &Job) {
    let from = moves.from;
    moves.disturb("the deadline of an intent passes", number, |tx| {
        tx.job(number).call = Some(Call::Committed { is_late: true });
    });
    moves.disturb("upstream says no", number, |tx| tx.job(number).call = Some(Call::No));
    moves.disturb("nothing was done, and the answer is lost", number, |tx| {
        tx.job(number).call = Some(Call::Silence);
    });
    let named = ids_of(job);
    let is_protected = |id: usize| matches!(from.ids[id].truth, Truth::Held | Truth::Secret);
    let held = Set::of(IDS, |id| named.has(id) && is_protected(id));
    if held.is_empty() {
        let to_delete = alive(&from, named);
        moves.progress("upstream takes the job", number, |tx| {
            leave(tx, number);
            tx.job(number).call = Some(Call::Yes(to_delete));
        });
        moves.disturb("upstream takes the job, and the answer is lost", number, |tx| {
            leave(tx, number);
            nobody_knows(tx, to_delete);
            tx.job(number).call = Some(Call::Silence);
        });
    } else {
        moves.progress("a conflict with names", number, |tx| tx.job(number).call = Some(Call::Named(held)));
        moves.progress("a conflict without names", number, |tx| tx.job(number).call = Some(Call::Unnamed));
    }
}

pub fn ids_of(job: &Job) -> Set {
    Set::of(IDS, |id| job.carries_id(id))
}

pub fn alive(state: &State, ids: Set) -> Set {
    Set::of(IDS, |id| ids.has(id) && state.ids[id].truth == Truth::Present)
}

/// The call has left: what it names may be gone from now on.
fn leave(tx: &mut Tx<'_>, number: usize) {
    for conversation in tx.job(number).carries.iter() {
        tx.conversation(conversation).was_sent = true;
    }
}

fn call_late(tx: &mut Tx<'_>, number: usize) {
    if (tx.rules.may_call)(true) {
        tx.breach(Invariant::InTime, || "a call leaves after the deadline of its intent".to_owned());
    }
    tx.job(number).call = Some(Call::No);
}

/// Whether the upstream job exists is unknown.
fn lose(tx: &mut Tx<'_>, number: usize) {
    let window = (tx.rules.window)(GRACE, Some(LONGEST), LAG);
    let keeps_doubt = tx.rules.keeps_doubt;
    let carries = tx.job(number).carries;
    if !keeps_doubt {
        undo(tx, number, carries);
    }
    let job = tx.job(number);
    job.state = if keeps_doubt { JobState::InDoubt } else { JobState::Waiting };
    job.losses += 1;
    // What is shorter than that may pass while the upstream job is at work.
    job.wait = if window < LONGEST + LAG { Wait::Passed } else { Wait::Begun };
}

fn record(tx: &mut Tx<'_>, number: usize, answer: Call) {
    let job = *tx.job(number);
    match answer {
        Call::Yes(to_delete) => {
            let job = tx.job(number);
            (job.state, job.wait, job.overdue) = (JobState::Submitted, Wait::Begun, Overdue::InTime);
            (job.losses, job.is_past_deadline) = (0, false);
            (job.to_delete, job.has_ended, job.is_forgotten, job.is_lost) = (to_delete, false, false, false);
            return;
        }
        Call::Silence => return lose(tx, number),
        Call::Committed { .. } | Call::Named(_) | Call::Unnamed | Call::No => {}
    }
    // Nothing was done: what became of these ids is known.
    for id in ids_of(&job).iter() {
        tx.state.ids[id].is_fate_open = false;
    }
    tx.job(number).has_conflicted |= matches!(answer, Call::Named(_) | Call::Unnamed);
    match answer {
        Call::Named(ids) => {
            let offending =
                Set::of(NAMES.len(), |number| job.carries.has(number) && ids.has(NAMES[number].1));
            protect(tx, number, offending);
            undo(tx, number, job.carries.without(offending));
            release(tx, number, offending);
            go_again(tx, number, false);
        }
        Call::Unnamed if !job.is_rechecked => {
            undo(tx, number, job.carries);
            go_again(tx, number, true);
        }
        Call::Unnamed if job.carries.len() == 1 => {
            protect(tx, number, job.carries);
            release(tx, number, job.carries);
            tx.end(number);
        }
        Call::Unnamed => {
            undo(tx, number, job.carries);
            split(tx, number, Cause::Conflict);
        }
        _ => {
            undo(tx, number, job.carries);
            go_again(tx, number, false);
        }
    }
}

fn go_again(tx: &mut Tx<'_>, number: usize, wants_recheck: bool) {
    if tx.job(number).carries.is_empty() {
        tx.end(number);
        return;
    }
    let job = tx.job(number);
    (job.state, job.wants_recheck) = (JobState::Waiting, wants_recheck);
}

/// Takes an intent back.
fn undo(tx: &mut Tx<'_>, number: usize, carried: Set) {
    take_back(tx, number, carried, Outcome::Eligible, &codes::NOT_SUBMITTED);
}

/// Nothing is called protected by upstream that is not.
pub fn are_protected(tx: &mut Tx<'_>, offending: Set) {
    for conversation in offending.iter() {
        if !matches!(tx.state.ids[NAMES[conversation].1].truth, Truth::Held | Truth::Secret) {
            tx.breach(Invariant::NotKept, || {
                format!("conversation {conversation} is called protected, and is not")
            });
        }
    }
}

/// Upstream protects these.
fn protect(tx: &mut Tx<'_>, number: usize, offending: Set) {
    are_protected(tx, offending);
    take_back(tx, number, offending, Outcome::OnHold, &codes::UPSTREAM_CONFLICT);
}

fn take_back(tx: &mut Tx<'_>, number: usize, carried: Set, to: Outcome, reason: &Reason) {
    let carried_before = tx.job(number).carried_before;
    for conversation in carried.iter() {
        tx.decide(Step::Submit, conversation, Outcome::Submitted, to, reason.clone());
        if !carried_before.has(conversation) {
            tx.mark(conversation, Marks::NONE, Marks::CARRIED);
        }
    }
}
