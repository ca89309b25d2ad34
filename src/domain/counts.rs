//! How many conversations of a purge have which outcome.

use std::fmt;
use std::ops::{Index, IndexMut};

use super::outcome::Outcome;
use super::state::PurgeState;

/// One number an outcome. Also used for differences, which is why the numbers are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([i64; Outcome::ALL.len()]);

impl Counts {
    /// The sum over all outcomes.
    pub fn total(&self) -> i64 {
        self.0.iter().sum()
    }

    /// How many are not final.
    pub fn open(&self) -> i64 {
        self[Outcome::Pending] + self[Outcome::Eligible] + self[Outcome::Submitted]
    }

    /// The final state of a purge with these counts, once nothing is open; `None` while something is.
    ///
    /// A cancel wins over failures; the counts show those all the same.
    pub fn final_state(&self, state: PurgeState) -> Option<PurgeState> {
        if self.open() > 0 {
            return None;
        }
        Some(match state {
            PurgeState::Canceling => PurgeState::Canceled,
            _ if self[Outcome::Failed] > 0 => PurgeState::Failed,
            _ => PurgeState::Completed,
        })
    }
}

/// Those that are not zero: `2 purged, 1 on_hold`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Outcome::ALL.iter().filter(|outcome| self[**outcome] != 0);
        for (place, outcome) in found.enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{} {outcome}", self[*outcome])?;
        }
        Ok(())
    }
}

/// The counts of a purge as callers and receivers read them: `total` is the sum of the outcomes, `duplicates` are beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Tally {
    pub total: i64,
    /// Ids that the request repeated; each counts once above.
    pub duplicates: i64,
    pub pending: i64,
    pub eligible: i64,
    pub submitted: i64,
    pub purged: i64,
    pub already_purged: i64,
    pub on_hold: i64,
    pub retained: i64,
    pub not_found: i64,
    pub active: i64,
    pub failed: i64,
    pub canceled: i64,
    pub would_purge: i64,
}

impl Tally {
    /// The counts as they are told.
    pub fn new(counts: &Counts, duplicates: i64) -> Self {
        Self {
            total: counts.total(),
            duplicates,
            pending: counts[Outcome::Pending],
            eligible: counts[Outcome::Eligible],
            submitted: counts[Outcome::Submitted],
            purged: counts[Outcome::Purged],
            already_purged: counts[Outcome::AlreadyPurged],
            on_hold: counts[Outcome::OnHold],
            retained: counts[Outcome::Retained],
            not_found: counts[Outcome::NotFound],
            active: counts[Outcome::Active],
            failed: counts[Outcome::Failed],
            canceled: counts[Outcome::Canceled],
            would_purge: counts[Outcome::WouldPurge],
        }
    }
}

impl Index<Outcome> for Counts {
    type Output = i64;

    fn index(&self, outcome: Outcome) -> &i64 {
        &self.0[usize::from(outcome.code())]
    }
}

impl IndexMut<Outcome> for Counts {
    fn index_mut(&mut self, outcome: Outcome) -> &mut i64 {
        &mut self.0[usize::from(outcome.code())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_is_final_when_nothing_is_open_and_a_cancel_wins() {
        use PurgeState::{Canceled, Canceling, Completed, Failed, Paused, Running};
        let with = |pairs: &[(Outcome, i64)]| {
            let mut counts = Counts::default();
            for &(outcome, number) in pairs {
                counts[outcome] = number;
            }
            counts
        };
        let table = [
            (with(&[(Outcome::Purged, 3)]), Running, Some(Completed)),
            (with(&[(Outcome::Purged, 2), (Outcome::Failed, 1)]), Running, Some(Failed)),
            (with(&[(Outcome::Purged, 2), (Outcome::Failed, 1)]), Canceling, Some(Canceled)),
            (with(&[(Outcome::OnHold, 1)]), Paused, Some(Completed)),
            (with(&[(Outcome::Purged, 9), (Outcome::Submitted, 1)]), Running, None),
            (with(&[(Outcome::Purged, 9), (Outcome::Pending, 1)]), Canceling, None),
            (with(&[(Outcome::Eligible, 1)]), Running, None),
        ];
        for (counts, state, expected) in table {
            assert_eq!(counts.final_state(state), expected, "{counts:?} {state}");
        }
    }
}
