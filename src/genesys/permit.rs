//! How long a call may still be written.
//!
//! Two clocks must allow it. The monotonic one stands still while the machine is suspended, so that it alone would let
//! a call leave hours after its permit was taken; the wall clock may be set back. If either of them says too late, it
//! is too late.
//!
//! Invariant: nothing here extends a deadline.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::WallClock;

/// The right to one call, until a moment.
///
/// It is neither `Clone` nor `Copy`: one permit, one call.
#[derive(Debug)]
pub struct Permit {
    write_before: Instant,
    wall_deadline: Timestamp,
}

impl Permit {
    /// A call under it is not written at or after this moment, a connection that it needs first included: it ends as
    /// [`Failure::NotSent`](super::Failure::NotSent) then.
    ///
    /// Both tell the same moment, each by its clock, and `wall_deadline` by the wall clock of this process. The two
    /// clocks are to be read together, the wall clock first, before the transaction that grants the permit begins: a
    /// machine that is suspended after that is then seen to have been.
    pub fn until(write_before: Instant, wall_deadline: Timestamp) -> Self {
        Self { write_before, wall_deadline }
    }

    /// The moment, by the clocks that will be asked.
    pub(super) fn deadline(self, wall_clock: &WallClock) -> Deadline {
        Deadline {
            monotonic: self.write_before.into(),
            wall: self.wall_deadline,
            wall_clock: WallClock::clone(wall_clock),
        }
    }
}

/// A moment by both clocks.
#[derive(Clone)]
pub(super) struct Deadline {
    monotonic: tokio::time::Instant,
    wall: Timestamp,
    wall_clock: WallClock,
}

impl Deadline {
    /// The moment that is so far away.
    pub(super) fn within(time: Duration, wall_clock: &WallClock) -> Self {
        let time_by_wall = SignedDuration::try_from(time).unwrap_or(SignedDuration::ZERO);
        let wall = wall_clock();
        Self {
            monotonic: tokio::time::Instant::now() + time,
            wall: wall.checked_add(time_by_wall).unwrap_or(wall),
            wall_clock: WallClock::clone(wall_clock),
        }
    }

    /// For timers; what they let pass is checked by [`Deadline::has_come`].
    pub(super) fn monotonic(&self) -> tokio::time::Instant {
        self.monotonic
    }

    /// Whether either clock says so.
    pub(super) fn has_come(&self) -> bool {
        tokio::time::Instant::now() >= self.monotonic || (self.wall_clock)() >= self.wall
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_moment_has_come_as_soon_as_one_of_the_clocks_says_so() {
        let noon: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let later = |seconds| noon + SignedDuration::from_secs(seconds);
        let (now, future) = (Instant::now(), Instant::now() + Duration::from_mins(10));
        for (write_before, wall, has_come) in [
            (future, later(1), false),
            (now, later(1), true),
            (future, noon, true),
            (future, later(-7200), true),
            (now, noon, true),
        ] {
            let deadline = Permit::until(write_before, wall).deadline(&(Arc::new(move || noon) as WallClock));
            assert_eq!(deadline.has_come(), has_come, "{wall}");
        }
        let clock: WallClock = Arc::new(move || noon);
        assert!(!Deadline::within(Duration::from_mins(1), &clock).has_come());
        assert!(Deadline::within(Duration::ZERO, &clock).has_come());
    }
}
