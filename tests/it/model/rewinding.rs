//! A database that goes back in time, as `check_ground` has it: what was committed since a copy was made is forgotten, and what
//! is true at upstream is not. The org is stopped until somebody makes the holds of that time again and resumes it; no
//! intent is committed before the window of a submit that was forgotten has passed, nor by facts that were asked before.
//!
//! Rules are not forgotten: each process brings its own into force again. That a purge was canceled, paused or retried is.

use genesys_purge::domain::state::JobState;

use super::calling::{alive, ids_of, nobody_knows};
use super::moves::Moves;
use super::state::{Call, Conversation, IDS, Id, JOBS, Job, NAMES, Purge, Set, State, Wait};
use super::tx::Tx;
use super::waiting::make_stale;

/// The rows of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rows {
    /// Held, and among the findings: gone, carried.
    ids: [[bool; 3]; IDS],
    conversations: [Conversation; NAMES.len()],
    purges: [Purge; 2],
    jobs: [Option<Job>; JOBS],
}

/// Where the database stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ground {
    /// It never goes back.
    Firm,
    /// Nobody has made a copy yet.
    Uncopied,
    Copied(Rows),
    /// It went back, and not a second time.
    Back {
        is_stopped: bool,
        /// Whatever was forgotten has ended by now.
        has_passed: bool,
    },
}

impl Ground {
    /// Nothing is asked.
    pub const fn is_stopped(self) -> bool {
        matches!(self, Self::Back { is_stopped: true, .. })
    }

    /// No intent is committed.
    pub const fn is_shut(self) -> bool {
        matches!(self, Self::Back { is_stopped: true, .. } | Self::Back { has_passed: false, .. })
    }

    /// A submit that was forgotten may be at work.
    pub const fn has_window(self) -> bool {
        matches!(self, Self::Back { has_passed: false, .. })
    }
}

pub fn moves(moves: &mut Moves<'_>) {
    match moves.from.ground {
        Ground::Firm => {}
        Ground::Uncopied => moves.progress("a copy of the database is made", 0, copy),
        Ground::Copied(rows) => {
            moves.disturb("the database goes back", 0, |tx| go_back(tx, rows));
            if moves.from.jobs.iter().flatten().any(is_committed) {
                let from = moves.from;
                moves.disturb("the database goes back, and a call leaves after that", 0, |tx| {
                    for job in tx.state.jobs.iter_mut().flatten().filter(|job| is_committed(job)) {
                        job.call = Some(Call::Yes(alive(&from, ids_of(job))));
                    }
                    go_back(tx, rows);
                });
            }
        }
        Ground::Back { is_stopped, has_passed } => {
            if is_stopped {
                moves.progress("its holds are made again, and the org is resumed", 0, |tx| {
                    tx.state.ids.iter_mut().for_each(|id| id.is_held = id.is_promised);
                    tx.state.ground = Ground::Back { is_stopped: false, has_passed };
                });
            }
            if !has_passed {
                window(moves, is_stopped);
            }
        }
    }
}

fn is_committed(job: &Job) -> bool {
    job.call == Some(Call::Committed { is_late: false })
}

/// What is forgotten may be at work for as long as that of a lost submit.
fn window(moves: &mut Moves<'_>, is_stopped: bool) {
    let pass = |tx: &mut Tx<'_>| {
        tx.state.ground = Ground::Back { is_stopped, has_passed: true };
        tx.each_answer(|answer| answer.is_early = true);
        for conversation in &mut tx.state.conversations {
            conversation.facts.is_early = true;
        }
    };
    let from = moves.from;
    if from.unknown.iter().all(|unknown| unknown.is_empty()) || from.was_late {
        moves.progress("the window of what was forgotten passes", 0, pass);
    } else {
        moves.disturb("the window of what was forgotten passes, and it is at work", 0, |tx| {
            tx.state.was_late = true;
            pass(tx);
        });
    }
}

/// What a copy has of a job: neither what is in hand for it, nor what is upstream's.
fn row(job: Job) -> Job {
    Job {
        to_delete: Set(0),
        has_ended: false,
        is_forgotten: false,
        is_copied: false,
        call: None,
        look: None,
        ..job
    }
}

fn copy(tx: &mut Tx<'_>) {
    let state = &mut tx.state;
    let rows = Rows {
        ids: state.ids.map(|id| [id.is_held, id.was_gone, id.was_carried]),
        conversations: state.conversations,
        purges: state.purges,
        jobs: state.jobs.map(|job| job.map(row)),
    };
    for job in state.jobs.iter_mut().flatten() {
        job.is_copied = job.is_taken();
    }
    state.ground = Ground::Copied(rows);
}

fn go_back(tx: &mut Tx<'_>, rows: Rows) {
    let before = tx.state;
    for job in before.jobs.iter().flatten() {
        match job.call {
            Some(Call::Yes(to_delete)) => nobody_knows(tx, to_delete),
            _ if !job.is_copied => nobody_knows(tx, job.to_delete),
            _ => {}
        }
    }
    let state = &mut tx.state;
    state.jobs = rows.jobs.map(|job| job.map(|job| as_found(job, &before, tx.rules.waits_after_rewind)));
    state.purges = rows.purges;
    state.questions = Default::default();
    for (id, [is_held, was_gone, was_carried]) in state.ids.iter_mut().zip(rows.ids) {
        *id = Id { is_held, was_gone, was_carried, ..*id };
    }
    state.conversations = rows.conversations;
    for (number, conversation) in state.conversations.iter_mut().enumerate() {
        // What a submit did that was forgotten nobody can know.
        let has_record = |job: &Job| job.takes_slot() && job.carries.has(number);
        conversation.was_sent |=
            before.conversations[number].was_sent && rows.jobs.iter().flatten().any(has_record);
    }
    state.ground =
        Ground::Back { is_stopped: tx.rules.stops_after_rewind, has_passed: !tx.rules.waits_after_rewind };
    make_stale(tx);
}

/// A job of the copy, with what became of its upstream job since.
fn as_found(job: Job, before: &State, waits: bool) -> Job {
    match job.state {
        JobState::Submitting => {
            Job { state: JobState::InDoubt, losses: job.losses + 1, wait: Wait::Begun, ..job }
        }
        JobState::InDoubt if waits => Job { wait: Wait::Begun, ..job },
        _ if job.is_taken() => {
            let is_same = |later: &&Job| later.is_copied && !later.carries.and(job.carries).is_empty();
            // Whatever is over has ended upstream, and deletes nothing more.
            let over = Job { has_ended: true, ..job };
            before.jobs.iter().flatten().find(is_same).map_or(over, |later| Job {
                to_delete: later.to_delete,
                has_ended: later.has_ended,
                is_forgotten: later.is_forgotten,
                ..job
            })
        }
        _ => job,
    }
}
