//! What a look after the submit means for one conversation: gone, still there, or could not tell.
//!
//! "Could not tell" is never "gone".

use std::time::Duration;

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
    match facts.map(|facts| facts.presence) {
        Some(Presence::Gone) => Sight::Gone,
        Some(Presence::Held | Presence::Present) => Sight::Present,
        None if marks.has(Marks::ABSENT) && is_absence_old_enough => Sight::Gone,
        None => Sight::AbsentOnce,
    }
}

/// Whether so many conversations of a job can be gone by its doing. `processed`: what upstream said at its end, where it did;
/// what is missing beyond that is missing for another reason, such as a client that lost sight of it.
pub fn can_be_gone(gone: usize, processed: Option<i64>) -> bool {
    processed.is_none_or(|processed| i64::try_from(gone).is_ok_and(|gone| gone <= processed))
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
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
pub struct Leftover {
    /// From the end of the job to the question that still found it.
    pub since_end: Duration,
    /// The longest time that a deletion of this org took to show; `None` before any was seen.
    pub lag: Option<Duration>,
    /// Upstream lost the job: it may still be at work.
    pub is_job_lost: bool,
    /// The upstream job never ended within its deadline.
    pub is_overdue: bool,
    /// Upstream protects it by now.
    pub is_held: bool,
    /// Jobs of this run whose fate was learned and that left it there, this one included.
    pub attempts: u32,
    /// So many such jobs are allowed.
    pub max_attempts: u32,
    /// Its purge is being canceled.
    pub is_canceling: bool,
    /// It is called still present no sooner.
    pub verify_timeout: Duration,
    /// It goes again no sooner after a first job; twice as late after the next.
    pub resubmit_after: Duration,
}

impl Leftover {
    /// How long after the job's end deletions have shown by experience.
    fn lag(&self) -> Duration {
        self.lag.filter(|_| !self.is_job_lost).unwrap_or(self.verify_timeout)
    }

    fn is_last(&self) -> bool {
        self.is_canceling || self.attempts >= self.max_attempts
    }

    /// How long after the job's end something is decided about it.
    pub fn patience(&self) -> Duration {
        if self.is_last() {
            return self.lag().max(self.verify_timeout);
        }
        let doubled = self.resubmit_after.saturating_mul(1 << self.attempts.saturating_sub(1).min(16));
        self.lag().max(doubled)
    }
}

/// Decides about a conversation that is still there.
pub fn remedy(leftover: Leftover) -> Remedy {
    if leftover.is_overdue {
        return Remedy::Decided(Outcome::Failed, codes::TIMED_OUT);
    }
    if leftover.since_end < leftover.patience() {
        return Remedy::LookAgain;
    }
    if leftover.is_last() {
        return Remedy::Decided(Outcome::Failed, codes::STILL_PRESENT);
    }
    // What this look itself saw protected does not go again.
    if leftover.is_held {
        return Remedy::Decided(Outcome::OnHold, codes::UPSTREAM_HOLD);
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
    fn no_more_is_gone_than_upstream_says_it_processed() {
        let table = [
            (3, None, true),
            (3, Some(3), true),
            (3, Some(500), true),
            (3, Some(2), false),
            (1, Some(0), false),
            (0, Some(0), true),
            (0, Some(-1), false),
        ];
        for (gone, processed, expected) in table {
            assert_eq!(can_be_gone(gone, processed), expected, "{gone} {processed:?}");
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
        let minutes = Duration::from_mins;
        let leftover = Leftover {
            since_end: minutes(10),
            lag: Some(Duration::from_secs(1)),
            is_job_lost: false,
            is_overdue: false,
            is_held: false,
            attempts: 1,
            max_attempts: 3,
            is_canceling: false,
            verify_timeout: minutes(10),
            resubmit_after: minutes(1),
        };
        let again = Remedy::Decided(Outcome::Eligible, codes::STILL_PRESENT);
        let failed = Remedy::Decided(Outcome::Failed, codes::STILL_PRESENT);
        let held = Remedy::Decided(Outcome::OnHold, codes::UPSTREAM_HOLD);
        let timed_out = Remedy::Decided(Outcome::Failed, codes::TIMED_OUT);
        let at = |since_end, attempts| Leftover { since_end, attempts, ..leftover };
        let table = [
            (leftover, again.clone()),
            (at(minutes(1), 1), again.clone()),
            // However short deletions took so far: one may take longer, and each job waits twice as long as the last.
            (at(Duration::from_secs(59), 1), Remedy::LookAgain),
            (at(Duration::from_secs(119), 2), Remedy::LookAgain),
            (at(minutes(2), 2), again.clone()),
            (Leftover { lag: Some(minutes(5)), ..at(minutes(4), 1) }, Remedy::LookAgain),
            (Leftover { lag: None, ..at(minutes(9), 1) }, Remedy::LookAgain),
            (Leftover { lag: None, ..leftover }, again),
            (Leftover { is_job_lost: true, ..at(minutes(9), 1) }, Remedy::LookAgain),
            (Leftover { is_held: true, ..leftover }, held),
            (Leftover { is_held: true, ..at(minutes(10), 3) }, failed.clone()),
            // Never called still present before the time that deletions may take at most.
            (at(Duration::from_secs(599), 3), Remedy::LookAgain),
            (at(minutes(10), 3), failed.clone()),
            (Leftover { lag: Some(minutes(20)), ..at(minutes(15), 3) }, Remedy::LookAgain),
            (Leftover { is_canceling: true, ..at(minutes(2), 1) }, Remedy::LookAgain),
            (Leftover { is_canceling: true, ..leftover }, failed),
            (Leftover { is_overdue: true, ..at(Duration::ZERO, 1) }, timed_out),
        ];
        for (leftover, expected) in table {
            assert_eq!(remedy(leftover), expected, "{leftover:?}");
        }
    }
}
