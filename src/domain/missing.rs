//! When so many ids of a purge are unknown upstream that somebody should check: a list from another system, the wrong
//! org, or a client that lost access to a division.

/// When a purge pauses itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance {
    /// More than so many of a hundred are too many; 100 is never exceeded.
    pub percent: u32,
    /// Nothing is made of fewer conversations than this.
    pub from: u32,
}

/// Whether so many that are not found, of so many that were judged, are too many.
pub fn is_too_much(not_found: i64, judged: i64, tolerance: Tolerance) -> bool {
    judged >= i64::from(tolerance.from)
        && i128::from(not_found) * 100 > i128::from(judged) * i128::from(tolerance.percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_large_share_of_many_is_too_much() {
        let tolerance = Tolerance { percent: 50, from: 1000 };
        let never = Tolerance { percent: 100, from: 1 };
        let table = [
            (999, 999, tolerance, false),
            (500, 1000, tolerance, false),
            (501, 1000, tolerance, true),
            (1000, 1000, tolerance, true),
            (0, 0, tolerance, false),
            // What the demonstration has.
            (381, 10_000, tolerance, false),
            (1, 1, never, false),
            (i64::MAX, i64::MAX, never, false),
            (i64::MAX, i64::MAX, tolerance, true),
        ];
        for (not_found, judged, tolerance, expected) in table {
            assert_eq!(is_too_much(not_found, judged, tolerance), expected, "{not_found} of {judged}");
        }
    }
}
