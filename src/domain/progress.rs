//! How fast a purge progresses: how many conversations were final at two times, and the rate since the earlier one.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The moments are at least so far apart, so the rate is that of the last two to four minutes.
const APART: SignedDuration = SignedDuration::from_mins(2);

/// A purge that changed nothing for so long has rested: what comes then is measured anew.
const REST: SignedDuration = SignedDuration::from_mins(10);

/// What comes after a rest counts as the work of this time, however short the step that brought it.
const AFTER_REST: SignedDuration = SignedDuration::from_mins(1);

/// How many conversations were final, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub at: Timestamp,
    pub settled: i64,
}

/// The two moments that a purge remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Milestones {
    /// The rate is measured from here.
    pub from: Moment,
    /// What will take its place.
    pub last: Moment,
}

impl Milestones {
    /// The milestones once something changes at `now`.
    ///
    /// `before` is how many conversations are final before the change, `after` how many after it. `started` is when the
    /// purge began, for its first change.
    pub fn advance(
        stored: Option<Self>,
        started: Option<Timestamp>,
        now: Timestamp,
        before: i64,
        after: i64,
    ) -> Self {
        let both = |at: Timestamp, settled: i64| {
            let moment = Moment { at, settled };
            Self { from: moment, last: moment }
        };
        let Some(stored) = stored else { return both(started.unwrap_or(now), before) };
        let passed = now.duration_since(stored.last.at);
        if after < before {
            // A retry: those that it took up are to be settled once more.
            both(now, after)
        } else if passed >= REST {
            both(now.checked_sub(AFTER_REST).unwrap_or(now), before)
        } else if passed >= APART {
            Self { from: stored.last, last: Moment { at: now, settled: before } }
        } else {
            stored
        }
    }

    /// Conversations a second since the earlier moment.
    pub fn per_second(&self, now: Timestamp, settled: i64) -> Option<f64> {
        rate(settled - self.from.settled, now.duration_since(self.from.at))
    }
}

/// So many conversations in so long, a second; `None` where no time has passed.
pub fn rate(settled: i64, took: SignedDuration) -> Option<f64> {
    let seconds = took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
    (seconds > 0.0).then(|| settled.max(0) as f64 / seconds)
}

/// How long `open` conversations take at that rate; `None` where they would never end.
pub fn left(open: i64, per_second: f64) -> Option<Duration> {
    #[expect(clippy::cast_precision_loss, reason = "an estimate is no count")]
    Duration::try_from_secs_f64(open as f64 / per_second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_764_000_000 + seconds).unwrap()
    }

    fn milestones(from: (i64, i64), last: (i64, i64)) -> Milestones {
        let moment = |(seconds, settled)| Moment { at: at(seconds), settled };
        Milestones { from: moment(from), last: moment(last) }
    }

    #[test]
    fn the_milestones_follow_at_a_distance() {
        let start = milestones((0, 0), (0, 0));
        let later = milestones((0, 0), (130, 40));
        let table = [
            ("the first change is measured from the start", None, 5, 0, 3, milestones((0, 0), (0, 0))),
            ("soon after nothing moves", Some(start), 100, 30, 40, start),
            ("then the later one follows", Some(start), 130, 40, 50, milestones((0, 0), (130, 40))),
            ("and the earlier one", Some(later), 260, 90, 95, milestones((130, 40), (260, 90))),
            ("a rest is left out", Some(later), 4000, 40, 540, milestones((3940, 40), (3940, 40))),
            ("a retry begins anew", Some(later), 150, 50, 45, milestones((150, 45), (150, 45))),
        ];
        for (what, stored, now, before, after, expected) in table {
            let advanced = Milestones::advance(stored, Some(at(0)), at(now), before, after);
            assert_eq!(advanced, expected, "{what}");
        }
    }

    #[test]
    fn a_rate_is_of_the_last_minutes_and_falls_while_nothing_happens() {
        let stored = milestones((100, 1000), (230, 2000));
        assert_eq!(stored.per_second(at(300), 3000), Some(10.0));
        assert_eq!(stored.per_second(at(500), 3000), Some(5.0));
        assert_eq!(stored.per_second(at(100), 3000), None, "no time has passed");
        assert_eq!(rate(-5, SignedDuration::from_secs(1)), Some(0.0));
    }

    #[test]
    fn what_stands_still_never_ends() {
        assert_eq!(left(600, 10.0), Some(Duration::from_mins(1)));
        assert_eq!(left(600, 0.0), None);
        assert_eq!(left(0, 0.0), None);
    }
}
