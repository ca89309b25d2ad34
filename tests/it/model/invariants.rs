//! What must always hold, by the numbers of the design, as far as it shows in one state. What shows in a step only is
//! checked where the step is made: `Tx::decide`, the intent, the call, the recorded answer.

use genesys_purge::domain::outcome::{Marks, Outcome};
use genesys_purge::domain::state::JobState;

use super::state::{Call, IDS, NAMES, SLOTS, Set, State, Truth};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// 1: no intent names what is held, retained, known to be gone, or of a purge that rests or was canceled.
    Protected,
    /// 1: no call leaves after the deadline of its intent.
    InTime,
    /// 2: whatever upstream runs has its intent on record, until its fate is known or its window has passed.
    IntentFirst,
    /// 3: one final outcome, which only a retry changes; nothing of a final purge is open.
    OneOutcome,
    /// 3: whatever has happened, everything can still end, and nothing else is left to be done.
    Ends,
    /// 3: what a job may have deleted is never called canceled.
    NotCanceled,
    /// 4: one unfinished job at most carries an id.
    OneJob,
    /// 4: an id is named again only when the fate of its last job is known.
    FateKnown,
    /// 5: no more live upstream jobs than slots.
    Slots,
    /// 10: what is called purged is gone.
    SeenGone,
    /// What is known to be gone, or what a job may delete yet, is never called kept.
    NotKept,
}

#[derive(Debug, Clone)]
pub struct Breach {
    pub invariant: Invariant,
    pub what: String,
}

/// The first invariant that does not hold in this state.
pub fn check(state: &State) -> Option<Breach> {
    let breach = |invariant, what: String| Some(Breach { invariant, what });
    let jobs = || state.jobs.iter().flatten();
    for id in 0..IDS {
        let carrying = jobs().filter(|job| job.carries_id(id)).count();
        if carrying > 1 {
            return breach(Invariant::OneJob, format!("{carrying} jobs carry id {id}"));
        }
        let running = upstream_jobs(state).filter(|to_delete| to_delete.has(id)).count();
        if running > 1 && !state.was_late {
            return breach(Invariant::FateKnown, format!("{running} upstream jobs may delete id {id}"));
        }
    }
    let taken = jobs().filter(|job| job.takes_slot()).count();
    if taken > SLOTS {
        return breach(Invariant::Slots, format!("{taken} jobs take a slot"));
    }
    if let Some(id) = unrecorded(state) {
        return breach(
            Invariant::IntentFirst,
            format!("an upstream job that no row knows of may delete id {id}"),
        );
    }
    for (number, conversation) in state.conversations.iter().enumerate() {
        let (outcome, truth) = (conversation.outcome(), state.ids[NAMES[number].1].truth);
        if matches!(outcome, Outcome::Purged | Outcome::AlreadyPurged) && truth != Truth::Gone {
            return breach(Invariant::SeenGone, format!("conversation {number} is {outcome} and {truth:?}"));
        }
        if outcome == Outcome::Canceled && conversation.was_sent {
            return breach(Invariant::NotCanceled, format!("conversation {number} was submitted"));
        }
        let is_carried = jobs().any(|job| job.carries.has(number));
        if conversation.has(Marks::RESERVED) != is_carried {
            return breach(
                Invariant::OneJob,
                format!("the mark of conversation {number} and its job differ"),
            );
        }
        if state.purge_of(number).state.is_final() && !outcome.is_final() {
            return breach(
                Invariant::OneOutcome,
                format!("a final purge has conversation {number} {outcome}"),
            );
        }
    }
    None
}

/// What each upstream job may yet delete.
fn upstream_jobs(state: &State) -> impl Iterator<Item = Set> {
    let of_jobs = state.jobs.iter().flatten().map(|job| match job.call {
        Some(Call::Yes(to_delete)) => to_delete,
        _ => job.to_delete,
    });
    of_jobs.chain(state.unknown)
}

/// An id that an upstream job may delete of which there is no record, where none went on for longer than its window.
fn unrecorded(state: &State) -> Option<usize> {
    let is_recorded = |id| {
        let open = |state| matches!(state, JobState::Submitting | JobState::InDoubt);
        state.jobs.iter().flatten().any(|job| open(job.state) && job.carries_id(id))
    };
    let unknown = || state.unknown.iter().flat_map(|unknown| unknown.iter());
    // A database that went back has forgotten it, and its window has not passed.
    let is_forgiven = state.was_late || state.ground.has_window();
    unknown().find(|&id| !is_forgiven && !is_recorded(id))
}
