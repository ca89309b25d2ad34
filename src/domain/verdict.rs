//! What a look after the submit means for one conversation: gone, still there, or could not tell.
//!
//! "Could not tell" is never "gone".

use super::facts::{Facts, Presence};
use super::outcome::{Marks, Outcome};
use super::reason::{Reason, codes};

/// What a whole answer shows of a submitted conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Seen to be gone.
    Gone,
    /// The answer left it out for the first time, or too soon after the first time.
    AbsentOnce,
    Present,
}

/// Reads a whole answer. `is_absence_old_enough`: the first absence lies at least `absence_gap` back.
pub fn sight(facts: Option<&Facts>, marks: Marks, is_absence_old_enough: bool) -> Sight {
    match facts {
        Some(facts) if facts.presence == Presence::Gone => Sight::Gone,
        Some(_) => Sight::Present,
        None if marks.has(Marks::ABSENT) && is_absence_old_enough => Sight::Gone,
        None => Sight::AbsentOnce,
    }
}

/// What is done about a conversation that is still there after its job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Deletion may show late: look again.
    LookAgain,
    Decided(Outcome, Reason),
}

/// How an ended job left a conversation that is still there.
#[derive(Debug, Clone, Copy)]
pub struct Leftover {
    /// Deletions of this org have shown by now, as far as was ever observed.
    pub has_lag_passed: bool,
    /// The upstream job never ended within its deadline.
    pub is_overdue: bool,
    /// Jobs of this run whose fate was learned and that left it there, this one included.
    pub attempts: u32,
    /// So many such jobs are allowed.
    pub max_attempts: u32,
    /// Its purge is being canceled.
    pub is_canceling: bool,
}

/// Decides about a conversation that is still there.
pub fn remedy(leftover: Leftover) -> Remedy {
    if leftover.is_overdue {
        return Remedy::Decided(Outcome::Failed, codes::TIMED_OUT);
    }
    if !leftover.has_lag_passed {
        return Remedy::LookAgain;
    }
    if leftover.is_canceling || leftover.attempts >= leftover.max_attempts {
        return Remedy::Decided(Outcome::Failed, codes::STILL_PRESENT);
    }
    Remedy::Decided(Outcome::Eligible, codes::STILL_PRESENT)
}

/// What a cancel makes of a conversation that was neither submitted nor decided. One that a job has carried may be
/// deleted, whatever was seen of it last: that is never called `canceled`.
pub fn when_canceled(marks: Marks) -> (Outcome, Reason) {
    if marks.has(Marks::CARRIED) {
        (Outcome::Failed, codes::NOT_SEEN_GONE)
    } else {
        (Outcome::Canceled, codes::CANCELED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::End;

    #[test]
    fn only_a_gone_status_or_a_second_absence_is_gone() {
        let facts = |presence| Facts { presence, end: End::NotYet };
        let (gone, held, present) = (facts(Presence::Gone), facts(Presence::Held), facts(Presence::Present));
        let table = [
            (Some(&gone), Marks::NONE, false, Sight::Gone),
            (Some(&present), Marks::ABSENT, true, Sight::Present),
            (Some(&held), Marks::NONE, true, Sight::Present),
            (None, Marks::NONE, true, Sight::AbsentOnce),
            (None, Marks::ABSENT, false, Sight::AbsentOnce),
            (None, Marks::ABSENT, true, Sight::Gone),
        ];
        for (facts, marks, old_enough, expected) in table {
            assert_eq!(sight(facts, marks, old_enough), expected, "{facts:?} {marks:?} {old_enough}");
        }
    }

    #[test]
    fn only_what_no_job_has_carried_is_called_canceled() {
        let others = Marks::ABSENT.with(Marks::RESERVED).with(Marks::ELSEWHERE);
        for marks in [Marks::NONE, others] {
            assert_eq!(when_canceled(marks), (Outcome::Canceled, codes::CANCELED));
            let carried = marks.with(Marks::CARRIED);
            assert_eq!(when_canceled(carried), (Outcome::Failed, codes::NOT_SEEN_GONE));
        }
    }

    #[test]
    fn what_is_still_there_goes_again_until_its_attempts_are_used_up() {
        let leftover = Leftover {
            has_lag_passed: true,
            is_overdue: false,
            attempts: 1,
            max_attempts: 3,
            is_canceling: false,
        };
        let again = Remedy::Decided(Outcome::Eligible, codes::STILL_PRESENT);
        let failed = Remedy::Decided(Outcome::Failed, codes::STILL_PRESENT);
        let timed_out = Remedy::Decided(Outcome::Failed, codes::TIMED_OUT);
        let table = [
            (leftover, again.clone()),
            (Leftover { attempts: 2, ..leftover }, again),
            (Leftover { attempts: 3, ..leftover }, failed.clone()),
            (Leftover { is_canceling: true, ..leftover }, failed),
            (Leftover { has_lag_passed: false, ..leftover }, Remedy::LookAgain),
            (Leftover { has_lag_passed: false, attempts: 3, ..leftover }, Remedy::LookAgain),
            (Leftover { is_overdue: true, has_lag_passed: false, ..leftover }, timed_out),
        ];
        for (leftover, expected) in table {
            assert_eq!(remedy(leftover), expected, "{leftover:?}");
        }
    }
}
