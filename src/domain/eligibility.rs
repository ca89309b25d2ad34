//! Whether a conversation may be deleted: the one decision that this service exists for.
//!
//! The first rule that applies wins: gone, then every protection, then age.

use jiff::Timestamp;

use super::facts::{End, Facts, Presence};
use super::outcome::{Cell, Marks, Outcome};
use super::reason::{Reason, codes};
use super::retention::{Policy, UnknownAge};

/// What is known of one conversation when it is judged.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What upstream said; `None` where the whole answer left it out.
    pub facts: Option<&'a Facts>,
    /// Its byte: whether an earlier answer left it out, whether a job of this purge has carried it.
    pub cell: Cell,
    /// The earlier of the answers that left it out lies at least `absence_gap` back.
    pub is_absence_old_enough: bool,
    /// A hold recorded in this service names it.
    pub is_held: bool,
    /// A job of another purge has carried it and may have deleted it.
    pub was_carried_elsewhere: bool,
}

/// What a validation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It ends, or goes on, with this outcome.
    Decided(Outcome, Reason),
    /// An answer left it out; only a second one, later, proves anything.
    AbsentOnce,
}

/// What the org's purges have found out about an id since an answer about it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Since {
    /// It was seen to be gone.
    pub gone: bool,
    /// Something was found against deleting it.
    pub kept: bool,
}

impl Since {
    /// The answer is from before what is known now: what it says so has to be asked again.
    pub const fn outdates(self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Purged | Outcome::AlreadyPurged => false,
            Outcome::Eligible | Outcome::WouldPurge => self.gone || self.kept,
            Outcome::Pending
            | Outcome::Submitted
            | Outcome::OnHold
            | Outcome::Retained
            | Outcome::NotFound
            | Outcome::Active
            | Outcome::Failed
            | Outcome::Canceled => self.gone,
        }
    }
}

/// Judges one conversation. `now` is the earliest of the clocks that agree.
pub fn judge(evidence: Evidence<'_>, policy: &Policy, now: Timestamp) -> Verdict {
    let Some(facts) = evidence.facts else {
        return judge_absent(evidence);
    };
    // Each kind by its name: one that is added later does not compile here until somebody says what it means.
    match facts.presence {
        Presence::Gone => gone(evidence.cell, codes::GONE),
        Presence::Held | Presence::Present if evidence.is_held => {
            Verdict::Decided(Outcome::OnHold, codes::LEGAL_HOLD)
        }
        Presence::Held => Verdict::Decided(Outcome::OnHold, codes::UPSTREAM_HOLD),
        Presence::Present => judge_end(facts.end, policy, now),
    }
}

fn judge_end(end: End, policy: &Policy, now: Timestamp) -> Verdict {
    match (end, policy.unknown_age) {
        (End::NotYet, UnknownAge::Retain | UnknownAge::Purge) => {
            Verdict::Decided(Outcome::Active, codes::NOT_ENDED)
        }
        (End::Unreadable | End::Unsure(_), UnknownAge::Retain) => {
            Verdict::Decided(Outcome::Retained, codes::UNKNOWN_AGE)
        }
        (End::Unreadable, UnknownAge::Purge) => Verdict::Decided(Outcome::Eligible, codes::ELIGIBLE),
        // Who lets go what tells no age still keeps what may be young.
        (End::Unsure(end), UnknownAge::Purge) | (End::At(end), UnknownAge::Retain | UnknownAge::Purge) => {
            judge_age(end, policy, now)
        }
    }
}

fn judge_age(end: Timestamp, policy: &Policy, now: Timestamp) -> Verdict {
    let expires_at = policy.expires_at(end);
    if expires_at > now {
        let reason = Reason { kept_until: Some(expires_at), ..codes::RETENTION_PERIOD };
        return Verdict::Decided(Outcome::Retained, reason);
    }
    Verdict::Decided(Outcome::Eligible, codes::ELIGIBLE)
}

fn judge_absent(evidence: Evidence<'_>) -> Verdict {
    // A hold needs no facts: what we protect stays protected even if upstream does not show it today. What a job has
    // carried may be gone, though, and is not called kept.
    let was_carried = evidence.cell.marks.has(Marks::CARRIED) || evidence.was_carried_elsewhere;
    if evidence.is_held && !was_carried {
        return Verdict::Decided(Outcome::OnHold, codes::LEGAL_HOLD);
    }
    if !(evidence.cell.marks.has(Marks::ABSENT) && evidence.is_absence_old_enough) {
        return Verdict::AbsentOnce;
    }
    if evidence.cell.marks.has(Marks::CARRIED) {
        return gone(evidence.cell, codes::ABSENT_TWICE);
    }
    // Some upstreams don't list what they deleted; what a job of ours has carried was known there once.
    let outcome = if evidence.was_carried_elsewhere { Outcome::AlreadyPurged } else { Outcome::NotFound };
    Verdict::Decided(outcome, codes::ABSENT_TWICE)
}

/// Gone is ours only if a job of this purge carried it.
fn gone(cell: Cell, reason: Reason) -> Verdict {
    if cell.marks.has(Marks::CARRIED) {
        return Verdict::Decided(Outcome::Purged, codes::SEEN_GONE_LATER);
    }
    Verdict::Decided(Outcome::AlreadyPurged, reason)
}

#[cfg(test)]
#[path = "eligibility_tests.rs"]
mod tests;
