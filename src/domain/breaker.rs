//! The circuit breaker of an org: after some calls in a row without an answer only one probe at a time is sent, with
//! backoff, until one is answered.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// So many calls without an answer in a row, of whatever kind, open it.
pub const FAILURES: u32 = 10;

/// The longest wait between two probes: upstream that is back is found no later.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// So long a probe may take, and the next one waits, where nobody tells what became of it.
const PROBE: Duration = Duration::from_secs(30);

/// How an org's calls went, over all processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breaker {
    /// Calls without an answer in a row; once it is open, those of probes alone.
    pub failures: u32,
    /// It is open, and the next probe leaves no sooner.
    pub open_until: Option<Timestamp>,
    /// A probe is on its way.
    pub is_probing: bool,
}

impl Breaker {
    /// Asks for a call: how it stands after that, or when to ask again.
    pub fn ask(self, now: Timestamp) -> Result<Self, Timestamp> {
        match self.open_until {
            None => Ok(self),
            Some(until) if until > now => Err(until),
            Some(_) => Ok(Self { open_until: Some(later(now, PROBE)), is_probing: true, ..self }),
        }
    }

    /// A call had no answer.
    #[must_use]
    pub fn failed(self, now: Timestamp) -> Self {
        if self.open_until.is_some() && !self.is_probing {
            // It left before it was opened.
            return self;
        }
        let failures = self.failures.saturating_add(1);
        let open_until = wait(failures).map(|wait| later(now, wait));
        Self { failures, open_until, is_probing: false }
    }
}

/// How long nothing is called after so many failures; `None` where it is not open.
fn wait(failures: u32) -> Option<Duration> {
    let probes = failures.checked_sub(FAILURES)?;
    Some(Duration::from_secs(1).saturating_mul(1 << probes.min(16)).min(LONGEST_WAIT))
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_764_000_000 + seconds).unwrap()
    }

    fn open(failures: u32, until: i64, is_probing: bool) -> Breaker {
        Breaker { failures, open_until: Some(at(until)), is_probing }
    }

    #[test]
    fn it_opens_after_ten_failures_and_lets_one_probe_through_at_a_time() {
        let closed = |failures| Breaker { failures, ..Breaker::default() };
        assert_eq!(closed(9).ask(at(0)), Ok(closed(9)));
        assert_eq!(closed(8).failed(at(0)), closed(9));
        assert_eq!(closed(9).failed(at(0)), open(10, 1, false));
        // What left before it was opened counts no more.
        assert_eq!(open(10, 1, false).failed(at(0)), open(10, 1, false));
        assert_eq!(open(10, 1, false).ask(at(0)), Err(at(1)));
        assert_eq!(open(10, 1, false).ask(at(1)), Ok(open(10, 31, true)));
        assert_eq!(open(10, 31, true).ask(at(2)), Err(at(31)), "one at a time");
        // Nobody tells what became of it.
        assert_eq!(open(10, 31, true).ask(at(31)), Ok(open(10, 61, true)));
        assert_eq!(open(10, 31, true).failed(at(2)), open(11, 4, false));
        assert_eq!(open(15, 31, true).failed(at(2)), open(16, 62, false), "no longer than a minute");
        assert_eq!(open(u32::MAX, 31, true).failed(at(2)), open(u32::MAX, 62, false));
    }

    /// Somebody always wants to call; each call fails after so many seconds.
    fn outage(seconds: i64, each_takes: i64) -> (u32, i64) {
        let (mut breaker, mut now, mut calls, mut longest) = (Breaker::default(), 0, 0, 0);
        while now < seconds {
            match breaker.ask(at(now)) {
                Ok(asked) => {
                    calls += 1;
                    now += each_takes;
                    breaker = asked.failed(at(now));
                }
                Err(then) => {
                    let then = then.as_second() - at(0).as_second();
                    longest = longest.max(then - now);
                    now = then;
                }
            }
        }
        (calls, longest)
    }

    #[test]
    fn an_outage_of_an_hour_costs_few_calls_and_its_end_is_found_within_a_minute() {
        // Refused at once; and each silent for as long as a call may take.
        assert_eq!(outage(3600, 0), (74, 60));
        assert_eq!(outage(3600, 20), (56, 60));
        assert_eq!(outage(24 * 3600, 0), (1454, 60));
    }
}
