//! How fresh facts are: when they were queried, and by which rules they were judged.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::store::slices::SliceKey;
use crate::store::slices::patch::Patch;

/// Facts, with the rules by which they were judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FactsStamp {
    pub(super) at: Timestamp,
    pub(super) epoch: i64,
}

impl FactsStamp {
    /// A stamp, if both halves are known.
    pub(super) fn of(at: Option<Timestamp>, epoch: Option<i64>) -> Option<Self> {
        at.zip(epoch).map(|(at, epoch)| Self { at, epoch })
    }

    /// The stamp of the conversations that can be drawn from a slice.
    pub(super) fn of_slice(patch: &Patch, slice: SliceKey) -> Option<Self> {
        let slice = patch.slice(slice)?;
        Self::of(slice.facts_at, slice.facts_epoch)
    }

    /// The older of both, by the older rules.
    pub(super) fn oldest(self, other: Self) -> Self {
        Self { at: self.at.min(other.at), epoch: self.epoch.min(other.epoch) }
    }

    /// Young enough, and judged by the rules in force. Facts from the future are no facts.
    pub(super) fn holds(self, now: Timestamp, policy_epoch: i64, max_age: Duration) -> bool {
        let max_age = SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX);
        let age = now.duration_since(self.at);
        self.epoch == policy_epoch && !age.is_negative() && age <= max_age
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_hold_while_young_and_under_the_same_rules() {
        let at = |second: i64| Timestamp::from_second(1_764_000_000 + second).unwrap();
        let stamp = FactsStamp { at: at(0), epoch: 3 };
        let max_age = Duration::from_mins(15);
        assert!(stamp.holds(at(900), 3, max_age));
        assert!(!stamp.holds(at(901), 3, max_age));
        assert!(!stamp.holds(at(-1), 3, max_age));
        assert!(!stamp.holds(at(1), 4, max_age));
    }
}
