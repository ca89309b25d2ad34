//! Whether an intent may name a conversation: the last check before the call that deletes, on everything that is known
//! under the org's lock.

use super::outcome::{Marks, Outcome};
use super::reason::{Reason, codes};
use super::state::PurgeState;
use super::verdict::when_canceled;

/// What is known of one conversation of a waiting job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
pub struct Known {
    /// The job has its reservation.
    pub is_ours: bool,
    /// Some purge of the org has seen it gone since the facts were asked.
    pub is_gone_since: bool,
    /// A hold recorded in this service names it.
    pub is_held: bool,
    /// Where its purge stands; `None` where that is not known.
    pub purge: Option<PurgeState>,
    /// Some purge of the org has found something against deleting it since the facts were asked.
    pub is_kept_since: bool,
    /// The facts are young enough, and were judged by the rules in force.
    pub is_fresh: bool,
    pub marks: Marks,
}

/// Whether a conversation may be named, or how it leaves the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Nothing stands against it.
    Stays,
    /// It leaves; `None` where it stays eligible.
    Leaves(Option<(Outcome, Reason)>),
    /// Another unfinished job has it: it leaves, and its reservation is not this job's to end.
    NotOurs,
}

/// Checks one conversation. What is gone comes before every reason to keep it: what we know to be gone is never reported
/// as kept.
pub fn check(known: Known) -> Check {
    let leaves = |outcome, reason| Check::Leaves(Some((outcome, reason)));
    if !known.is_ours {
        return Check::NotOurs;
    }
    if known.is_gone_since {
        return leaves(Outcome::Pending, codes::PURGED_ELSEWHERE);
    }
    if known.is_held {
        return leaves(Outcome::OnHold, codes::LEGAL_HOLD);
    }
    match known.purge {
        Some(PurgeState::Queued | PurgeState::Running) => {}
        Some(PurgeState::Canceling | PurgeState::Canceled) => {
            return Check::Leaves(Some(when_canceled(known.marks)));
        }
        Some(
            PurgeState::AwaitingApproval | PurgeState::Paused | PurgeState::Completed | PurgeState::Failed,
        )
        | None => return Check::Leaves(None),
    }
    if known.is_kept_since || !known.is_fresh {
        return leaves(Outcome::Pending, codes::FACTS_STALE);
    }
    Check::Stays
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_not_to_delete_takes_a_conversation_out_of_the_job() {
        use PurgeState::{AwaitingApproval, Canceling, Completed, Failed, Paused, Queued, Running};
        let free = Known {
            is_ours: true,
            is_gone_since: false,
            is_held: false,
            purge: Some(Running),
            is_kept_since: false,
            is_fresh: true,
            marks: Marks::NONE,
        };
        let of = |purge| Known { purge: Some(purge), ..free };
        let leaves = |outcome, reason: Reason| Check::Leaves(Some((outcome, reason)));
        let held = leaves(Outcome::OnHold, codes::LEGAL_HOLD);
        let gone = leaves(Outcome::Pending, codes::PURGED_ELSEWHERE);
        let stale = leaves(Outcome::Pending, codes::FACTS_STALE);
        let table = [
            (free, Check::Stays),
            (of(Queued), Check::Stays),
            (Known { is_held: true, ..free }, held.clone()),
            (Known { is_held: true, ..of(Canceling) }, held.clone()),
            (Known { is_held: true, ..of(Paused) }, held),
            (of(Canceling), leaves(Outcome::Canceled, codes::CANCELED)),
            (Known { marks: Marks::CARRIED, ..of(Canceling) }, leaves(Outcome::Failed, codes::NOT_SEEN_GONE)),
            (of(Paused), Check::Leaves(None)),
            (of(AwaitingApproval), Check::Leaves(None)),
            (of(Completed), Check::Leaves(None)),
            (of(Failed), Check::Leaves(None)),
            (Known { purge: None, ..free }, Check::Leaves(None)),
            (Known { is_ours: false, ..free }, Check::NotOurs),
            (Known { is_ours: false, is_held: true, is_gone_since: true, ..free }, Check::NotOurs),
            (Known { is_gone_since: true, ..free }, gone.clone()),
            (Known { is_gone_since: true, is_held: true, ..free }, gone),
            (Known { is_kept_since: true, ..free }, stale.clone()),
            (Known { is_fresh: false, ..free }, stale),
        ];
        for (known, expected) in table {
            assert_eq!(check(known), expected, "{known:?}");
        }
    }
}
