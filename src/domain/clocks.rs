//! The age of a conversation is only as good as the clocks: three clocks are compared, and the earliest counts.

use jiff::{SignedDuration, Timestamp};

const LARGEST_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The clocks disagree so much that no age can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the clocks disagree: database {database}, this process {own}, upstream {upstream:?}; set them right"
)]
pub struct Skew {
    database: Timestamp,
    own: Timestamp,
    upstream: Option<Timestamp>,
}

/// The earliest of the clocks, the one by which the fewest conversations are old enough.
pub fn earliest(database: Timestamp, own: Timestamp, upstream: Option<Timestamp>) -> Result<Timestamp, Skew> {
    let upstream_or_own = upstream.unwrap_or(own);
    let earliest = database.min(own).min(upstream_or_own);
    let latest = database.max(own).max(upstream_or_own);
    if latest.duration_since(earliest) > LARGEST_SKEW {
        return Err(Skew { database, own, upstream });
    }
    Ok(earliest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_clock_counts_and_five_minutes_are_too_far_apart() {
        let at = |second: i64| Timestamp::from_second(1_764_000_000 + second).unwrap();
        assert_eq!(earliest(at(0), at(1), Some(at(2))), Ok(at(0)));
        assert_eq!(earliest(at(2), at(1), None), Ok(at(1)));
        assert_eq!(earliest(at(300), at(299), Some(at(0))), Ok(at(0)));
        assert!(earliest(at(301), at(299), Some(at(0))).is_err());
        assert!(earliest(at(0), at(301), None).is_err());
    }
}
