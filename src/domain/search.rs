//! The search for conversations that upstream protects but does not name.
//!
//! A batch that conflicts is cut into halves, and the first is submitted. If it conflicts too, the search goes on in
//! it, and nothing is known about the second. If it goes through, the second must conflict, and is cut without a call
//! of its own. So a search has one piece upstream at a time, and ends with one offender (a protected conversation),
//! submitted alone. The rest, which is still unknown, is then submitted together with that of other searches, in
//! pieces as large as the share of offenders allows.
//!
//! Invariant: only a conversation that conflicts alone gets an outcome. All other conclusions only choose what to
//! submit next.

use std::time::Duration;

use jiff::Timestamp;

/// What a search has found out so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Conversations that conflicted alone.
    pub offenders: usize,
    /// Conversations that upstream took.
    pub cleared: usize,
}

/// So many offenders are expected in a piece of the unknown: such a piece conflicts more often than not, which costs a
/// call, where a smaller one would cost an upstream job.
const OFFENDERS_A_PIECE: usize = 2;

/// How many conversations of which nothing is known are submitted together.
pub fn piece_size(seen: Seen, at_most: usize) -> usize {
    let answered = seen.offenders.saturating_add(seen.cleared).saturating_mul(OFFENDERS_A_PIECE);
    answered.checked_div(seen.offenders).map_or(at_most, |size| size.min(at_most)).max(1)
}

/// The finest and the widest grid to which looks at pieces are put off, as powers of two milliseconds.
const FINEST: u32 = 6;
const WIDEST: u32 = 13;

/// How long a look at a piece waits that is due in `wait`, where upstream took so long for the piece: until the next point
/// of a grid that is no wider than that. Its widths are powers of two milliseconds, so that grids meet.
pub fn gathered(now: Timestamp, wait: Duration, took: Duration) -> Duration {
    let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let width = 1 << took.ilog2().clamp(FINEST, WIDEST);
    let due = now.as_millisecond().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
    let past = u64::try_from(due.rem_euclid(width)).unwrap_or_default();
    let width = width.unsigned_abs();
    wait.saturating_add(Duration::from_millis((width - past) % width))
}

/// How many of an org's last jobs may conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConflictLimit {
    /// Of a hundred jobs; more are too many.
    pub percent: usize,
    /// So many jobs are looked at, and nothing is said of fewer.
    pub jobs: usize,
}

/// How many of an org's last jobs, as packing made them, conflicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflicts {
    pub jobs: usize,
    pub conflicted: usize,
}

impl Conflicts {
    /// Upstream protects so much that our checks do not find that the org's work must wait.
    pub fn are_too_many(self, limit: ConflictLimit) -> bool {
        let allowed = self.jobs.saturating_mul(limit.percent);
        self.jobs >= limit.jobs && self.conflicted.saturating_mul(100) > allowed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pieces_are_as_large_as_the_share_of_offenders_allows() {
        let table = [
            ((0, 0), 500, 500),
            ((0, 400), 500, 500),
            ((1, 0), 500, 2),
            ((1, 249), 500, 500),
            ((1, 250), 500, 500),
            ((2, 18), 500, 20),
            ((250, 250), 500, 4),
            ((250, 0), 500, 2),
            ((250, 0), 1, 1),
            ((0, 0), 0, 1),
            ((usize::MAX, usize::MAX), 500, 1),
        ];
        for ((offenders, cleared), at_most, size) in table {
            let seen = Seen { offenders, cleared };
            assert_eq!(piece_size(seen, at_most), size, "{seen:?} of {at_most}");
        }
    }

    #[test]
    fn pieces_that_end_about_the_same_time_are_looked_at_together() {
        let base = 1_764_000_000_000 / 8192 * 8192;
        let due = |now, wait, took| {
            let now = Timestamp::from_millisecond(base + now).unwrap();
            let wait = gathered(now, Duration::from_millis(wait), Duration::from_millis(took));
            now.as_millisecond() - base + i64::try_from(wait.as_millis()).unwrap()
        };
        let table = [
            ((1, 0, 1300), 1024),
            ((1000, 0, 1300), 1024),
            ((1024, 0, 1300), 1024),
            ((1025, 0, 2100), 2048),
            ((1025, 0, 1300), 2048),
            ((1, 1024, 1300), 2048),
            ((1, 0, 3_600_000), 8192),
            ((1, 0, 0), 64),
        ];
        for ((now, wait, took), expected) in table {
            assert_eq!(due(now, wait, took), expected, "{now} {wait} {took}");
        }
    }

    proptest! {
        #[test]
        fn a_look_is_put_off_for_less_than_its_piece_took(
            now in 0i64..4_000_000_000_000, wait in 0u64..100_000, took in 64u64..100_000,
        ) {
            let at = Timestamp::from_millisecond(now).unwrap();
            let (wait, took) = (Duration::from_millis(wait), Duration::from_millis(took));
            let gathered = gathered(at, wait, took);
            prop_assert!(gathered >= wait && gathered < wait + took.min(Duration::from_millis(8192)));
        }
    }

    #[test]
    fn an_org_has_too_many_conflicts_when_enough_jobs_say_so() {
        let limit = ConflictLimit { percent: 90, jobs: 50 };
        let table = [
            ((0, 0), limit, false),
            ((49, 49), limit, false),
            ((50, 45), limit, false),
            ((50, 46), limit, true),
            ((50, 50), ConflictLimit { percent: 100, jobs: 50 }, false),
            ((1, 1), ConflictLimit { percent: 99, jobs: 1 }, true),
            ((10, 1), ConflictLimit { percent: 1, jobs: 10 }, true),
        ];
        for ((jobs, conflicted), limit, expected) in table {
            let conflicts = Conflicts { jobs, conflicted };
            assert_eq!(conflicts.are_too_many(limit), expected, "{conflicts:?} {limit:?}");
        }
    }
}
