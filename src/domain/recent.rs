//! The calls of the last minute of an org: one number per second, in a ring buffer in its limiter's row.

use jiff::Timestamp;

const SECONDS: i64 = 60;

/// How many permits were taken in each second of the last minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentCalls {
    /// The number of second `s` stands at `s % 60`.
    per_second: Vec<i16>,
    /// When the last one was taken; what the ring says is of the minute before.
    last: Option<Timestamp>,
}

impl RecentCalls {
    /// What was stored; a ring of another length is one that was never written.
    pub fn new(mut per_second: Vec<i16>, last: Option<Timestamp>) -> Self {
        let is_whole = per_second.len() == slots();
        if !is_whole {
            per_second = vec![0; slots()];
        }
        Self { per_second, last: last.filter(|_| is_whole) }
    }

    pub fn note(&mut self, now: Timestamp) {
        // A clock that went back must not make the minute longer: such a call counts in the last second that is known.
        let now = self.last.map_or(now, |last| last.max(now));
        let (last, second) = (self.last.map_or(i64::MIN, Timestamp::as_second), now.as_second());
        for passed in last.saturating_add(1).max(second - SECONDS + 1)..=second {
            self.per_second[slot(passed)] = 0;
        }
        let counted = &mut self.per_second[slot(second)];
        *counted = counted.saturating_add(1);
        self.last = Some(now);
    }

    /// How many there were in this second and the 59 before.
    pub fn within_a_minute(&self, now: Timestamp) -> u32 {
        let Some(last) = self.last else { return 0 };
        let seconds = (now.as_second() - SECONDS + 1)..=last.as_second();
        let counted = seconds.take(slots()).map(|second| self.per_second[slot(second)]);
        counted.map(|number| u32::try_from(number).unwrap_or_default()).sum()
    }

    /// What is to be stored.
    pub fn per_second(&self) -> &[i16] {
        &self.per_second
    }
}

fn slots() -> usize {
    usize::try_from(SECONDS).unwrap_or_default()
}

fn slot(second: i64) -> usize {
    usize::try_from(second.rem_euclid(SECONDS)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_764_000_000_000 + millis).unwrap()
    }

    proptest! {
        #[test]
        fn the_ring_counts_what_a_list_of_all_calls_would(
            steps in prop::collection::vec(0i64..20_000, 0..300), later in 0i64..200_000,
        ) {
            let (mut now, mut calls) = (0, Vec::new());
            let mut recent = RecentCalls::new(Vec::new(), None);
            for step in steps {
                now += step;
                calls.push(now);
                recent = RecentCalls::new(recent.per_second().to_vec(), recent.last);
                recent.note(at(now));
            }
            now += later;
            let second = |millis: i64| at(millis).as_second();
            let expected = calls.iter().filter(|&&call| second(now) - second(call) < SECONDS).count();
            prop_assert_eq!(recent.within_a_minute(at(now)) as usize, expected);
        }
    }

    #[test]
    fn a_clock_that_goes_back_loses_no_call() {
        let mut recent = RecentCalls::new(Vec::new(), None);
        for millis in [70_000, 10_000, 69_000, 70_500] {
            recent.note(at(millis));
        }
        assert_eq!(recent.within_a_minute(at(71_000)), 4);
        assert_eq!(recent.within_a_minute(at(200_000)), 0);
    }

    #[test]
    fn what_was_never_written_counts_nothing() {
        for stored in [vec![], vec![7; 59]] {
            assert_eq!(RecentCalls::new(stored, Some(at(0))).within_a_minute(at(0)), 0);
        }
    }
}
