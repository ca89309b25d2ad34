//! How long to wait after a failure.

use std::time::Duration;

/// The wait before the next try of a step, after `tries` fruitless ones in a row: 1 s, doubling, up to a minute.
///
/// `jitter` is a fraction in 0..1 and spreads the wait over its upper half.
pub fn step(tries: u32, jitter: f64) -> Duration {
    exponential(tries, Duration::from_mins(1), jitter)
}

/// The wait of a whole org after its `refusals`-th 429 in a row that told no time of its own.
pub fn throttled(refusals: u32, jitter: f64) -> Duration {
    exponential(refusals, Duration::from_mins(10), jitter)
}

/// The wait before what the job of another purge carries is asked about again, after `tries` questions in vain: most jobs
/// take seconds, a few of them hours.
pub fn carried(tries: u32) -> Duration {
    exponential(tries, Duration::from_mins(10), 1.0)
}

/// The wait before work is done again over which this service has failed `times` times in a row: what it stumbles over stays as it
/// is until somebody repairs it, most likely.
pub fn panicked(times: u32) -> Duration {
    exponential(times, Duration::from_mins(10), 1.0)
}

/// A slice over which questions panicked so often in a row, the last time alone, is parked.
pub const PANICS_TO_PARK: u16 = 5;

/// So many slices at most are asked about together over which questions have panicked so often in a row: whichever it is, it is
/// alone before long, and few are delayed by it.
pub const fn together(panics: u16) -> usize {
    match panics {
        0 => usize::MAX,
        1 => 64,
        2 => 8,
        _ => 1,
    }
}

/// A slice that could not be read so often in a row is parked.
pub const TRIES_TO_READ: i16 = 5;

/// The wait before a slice is read again that could not be read `tries` times in a row; `None` when it is parked.
pub fn unreadable(tries: u32) -> Option<Duration> {
    (tries < TRIES_TO_READ.unsigned_abs().into()).then(|| step(tries, 1.0))
}

/// A failed delivery's next attempt, after `attempt` attempts; `None` when the schedule is used up. Where its receiver asked for
/// a longer wait, that is what it gets.
///
/// Up to a fifth is added at random, so that deliveries that failed together don't come back together.
pub fn delivery(
    schedule: &[Duration],
    attempt: u32,
    asked: Option<Duration>,
    jitter: f64,
) -> Option<Duration> {
    let wait = schedule.get(usize::try_from(attempt).unwrap_or(usize::MAX).checked_sub(1)?)?;
    Some(asked.unwrap_or_default().max(*wait).mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 5.0))
}

fn exponential(tries: u32, longest: Duration, jitter: f64) -> Duration {
    let full = Duration::from_secs(1).saturating_mul(1 << tries.min(20)).min(longest);
    full.mul_f64(f64::midpoint(1.0, jitter.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_longest_and_are_never_nothing() {
        let table = [
            (0, 1.0, 1000),
            (0, 0.0, 500),
            (1, 1.0, 2000),
            (5, 1.0, 32_000),
            (6, 1.0, 60_000),
            (u32::MAX, 0.0, 30_000),
        ];
        for (tries, jitter, expected) in table {
            assert_eq!(step(tries, jitter).as_millis(), expected, "{tries} {jitter}");
        }
        assert_eq!(throttled(20, 1.0), Duration::from_mins(10));
        assert_eq!([1, 2, 9, 10, u32::MAX].map(|times| panicked(times).as_secs()), [2, 4, 512, 600, 600]);
    }

    #[test]
    fn what_panics_is_alone_before_it_is_parked() {
        assert_eq!([0, 1, 2, 3, u16::MAX].map(together), [usize::MAX, 64, 8, 1, 1]);
        assert_eq!(together(PANICS_TO_PARK - 1), 1);
    }

    #[test]
    fn a_delivery_follows_its_schedule_and_is_dead_at_its_end() {
        let schedule = [Duration::from_secs(5), Duration::from_mins(5)];
        let table = [
            (1, None, 0.0, Some(5)),
            (1, None, 1.0, Some(6)),
            (2, None, 0.0, Some(300)),
            (3, None, 0.0, None),
            (0, None, 0.0, None),
            (1, Some(60), 0.0, Some(60)),
            (1, Some(60), 1.0, Some(72)),
            (1, Some(1), 0.0, Some(5)),
            (2, Some(60), 0.0, Some(300)),
            (3, Some(60), 0.0, None),
        ];
        for (attempt, asked, jitter, expected) in table {
            let wait = delivery(&schedule, attempt, asked.map(Duration::from_secs), jitter);
            assert_eq!(wait, expected.map(Duration::from_secs), "{attempt} {asked:?} {jitter}");
        }
    }
}
