//! The budget of calls an org has: the generic cell rate algorithm, tuned so that upstream never counts more than it
//! allows in any minute.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A permit that was not used within this time is void.
pub const PERMIT_LIFE: Duration = Duration::from_secs(1);

/// The calls of a minute are spread over this time, and no permit is granted from further ahead.
pub const WINDOW: Duration = Duration::from_secs(62);

/// No silence that upstream asks for is longer.
pub const LONGEST_SILENCE: Duration = Duration::from_hours(1);

/// How fast calls may follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    burst: u32,
    interval: Duration,
}

/// The answer to a request for a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Granted; the new theoretical arrival time is to be stored.
    Granted(Timestamp),
    NotBefore(Timestamp),
}

impl Budget {
    /// The budget for so many calls a minute.
    ///
    /// A call may reach upstream up to a second after its permit was taken, and clocks drift, so the interval
    /// spreads the calls over 62 s: then no 60 s at upstream hold more than `per_minute`.
    pub fn per_minute(per_minute: u32) -> Self {
        let per_minute = per_minute.max(1);
        let burst = (per_minute / 10).clamp(1, 10);
        Self { burst, interval: WINDOW / (per_minute - burst + 1) }
    }

    /// Asks for one permit at `now`, where the last granted one left `arrival_at`.
    pub fn take(&self, arrival_at: Timestamp, now: Timestamp) -> Permission {
        let interval = SignedDuration::try_from(self.interval).unwrap_or(SignedDuration::MAX);
        let tolerance = interval.saturating_mul(i32::try_from(self.burst - 1).unwrap_or(i32::MAX));
        let earliest = arrival_at.checked_sub(tolerance).unwrap_or(Timestamp::MIN);
        if now < earliest {
            return Permission::NotBefore(earliest);
        }
        Permission::Granted(arrival_at.max(now).checked_add(interval).unwrap_or(Timestamp::MAX))
    }
}

/// The budget in force: the smaller of the setting (0 = no limit) and what upstream's headers told.
pub fn in_force(setting: u32, told: Option<u32>) -> Option<u32> {
    match (setting, told) {
        (0, told) => told,
        (setting, Some(told)) => Some(setting.min(told)),
        (setting, None) => Some(setting),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_764_000_000_000 + millis).unwrap()
    }

    /// The times at which permits are granted to somebody who always asks, each used up to a second late.
    fn greedy(per_minute: u32, minutes: i64, lateness: impl Fn(usize) -> i64) -> Vec<i64> {
        let budget = Budget::per_minute(per_minute);
        let (mut arrival, mut now, mut used) = (at(0), 0, Vec::new());
        while now < minutes * 60_000 {
            match budget.take(arrival, at(now)) {
                Permission::Granted(next) => {
                    arrival = next;
                    used.push(now + lateness(used.len()));
                }
                Permission::NotBefore(then) => {
                    now = (then.as_millisecond() - at(0).as_millisecond()).max(now + 1);
                }
            }
        }
        used.sort_unstable();
        used
    }

    proptest! {
        #[test]
        fn no_minute_at_upstream_holds_more_than_it_allows(
            per_minute in 1u32..400, lateness in prop::collection::vec(0i64..1000, 1..50),
        ) {
            let calls = greedy(per_minute, 3, |n| lateness[n % lateness.len()]);
            for (start, &at) in calls.iter().enumerate() {
                let within = calls[start..].iter().take_while(|&&other| other < at + 60_000).count();
                prop_assert!(within <= per_minute as usize, "{within} calls within a minute of {per_minute}");
            }
        }
    }

    #[test]
    fn no_arrival_is_further_ahead_than_a_window() {
        for per_minute in 1..400 {
            let (budget, mut arrival) = (Budget::per_minute(per_minute), at(0));
            while let Permission::Granted(next) = budget.take(arrival, at(0)) {
                arrival = next;
            }
            let ahead = Duration::try_from(arrival.duration_since(at(0))).unwrap();
            assert!(ahead <= WINDOW, "{per_minute} a minute: {ahead:?}");
        }
    }

    #[test]
    fn the_budget_is_nearly_used_up() {
        for per_minute in [10u32, 300, 1200] {
            let calls = greedy(per_minute, 10, |_| 0).len();
            assert!(calls >= per_minute as usize * 9, "{calls} calls in ten minutes of {per_minute}");
        }
    }

    #[test]
    fn the_smaller_of_setting_and_header_is_in_force() {
        let table = [
            (0, None, None),
            (0, Some(5), Some(5)),
            (300, None, Some(300)),
            (300, Some(100), Some(100)),
            (100, Some(300), Some(100)),
        ];
        for (setting, told, expected) in table {
            assert_eq!(in_force(setting, told), expected);
        }
    }
}
