//! The sandbox's own clock: the only place of this folder that reads the time.
//!
//! Invariant: the time of one clock never runs backwards, so that a job that was seen to have ended stays ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Where the sandbox gets the time from. Clones share one time.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    Machine { anchor: Timestamp, since: Instant },
    Manual(Arc<Mutex<Timestamp>>),
}

impl Clock {
    /// The machine's time, read once and carried on by the monotonic clock.
    #[expect(clippy::disallowed_methods, reason = "the one home of the sandbox's clock")]
    pub fn machine() -> Self {
        Self(Source::Machine { anchor: Timestamp::now(), since: Instant::now() })
    }

    /// A clock that stands still until [`Clock::advance`] moves it: tests of hours take no time.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(start))))
    }

    /// Moves a manual clock on; does nothing to the machine's.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now) = &self.0 {
            let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
            *now = later(*now, by);
        }
    }

    /// The time, in whole milliseconds as upstream writes it.
    pub(super) fn now(&self) -> Timestamp {
        let exact = match &self.0 {
            Source::Machine { anchor, since } => later(*anchor, since.elapsed()),
            Source::Manual(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        };
        Timestamp::from_millisecond(exact.as_millisecond()).unwrap_or(exact)
    }
}

/// `at` plus `by`; at the end of time, the end of time.
fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}

/// `at` plus milliseconds, which may be negative.
pub(super) fn plus_millis(at: Timestamp, millis: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_millis(millis)).unwrap_or(Timestamp::MAX)
}

/// Whole seconds from `now` until `at`, rounded up, at least one: a wait that is written as a header.
pub(super) fn seconds_until(now: Timestamp, at: Timestamp) -> u32 {
    let millis = at.as_millisecond().saturating_sub(now.as_millisecond()).max(1);
    u32::try_from(millis.saturating_add(999) / 1000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let twin = clock.clone();
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        twin.advance(Duration::from_secs(2));
        assert_eq!(clock.now().as_second(), 2);
    }

    #[test]
    fn waits_are_rounded_up_and_never_zero() {
        let now = Timestamp::UNIX_EPOCH;
        for (millis, seconds) in [(-5, 1), (0, 1), (1, 1), (1000, 1), (1001, 2), (60_000, 60)] {
            assert_eq!(seconds_until(now, plus_millis(now, millis)), seconds, "{millis} ms");
        }
    }
}
