//! How many calls a minute are let in, and whether callers keep away for as long as a 429 told them.
//!
//! Invariant: a refused call does not count against the minute, so that who waits as told is let in.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};

use super::clock::{plus_millis, seconds_until};

const MINUTE_MS: i64 = 60_000;
/// A call that arrives this soon after a 429 was on its way when the 429 was written.
const IN_FLIGHT_MS: i64 = 1000;
/// No sane caller is expected to wait longer than this, whatever the header says.
const LONGEST_WAIT_MS: i64 = 3_600_000;

/// The calls of the last 60 seconds.
#[derive(Debug, Default)]
pub(super) struct Window {
    calls: VecDeque<Timestamp>,
    /// When the limit was changed last: who was told another one is forgiven for a minute.
    changed: Option<Timestamp>,
}

/// What the window said of one call; it goes out as the `inin-ratelimit-*` headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) count: u32,
    pub(super) allowed: u32,
    /// Seconds until the oldest call leaves the window.
    pub(super) reset: u32,
    pub(super) over: bool,
    /// Over the limit although it has been this one for a minute.
    pub(super) is_breach: bool,
}

impl Window {
    /// Counts a call, or refuses it. `None` where there is no limit (0).
    pub(super) fn admit(&mut self, now: Timestamp, allowed: u32) -> Option<Reading> {
        if allowed == 0 {
            return None;
        }
        let start = plus_millis(now, -MINUTE_MS);
        while self.calls.front().is_some_and(|call| *call <= start) {
            self.calls.pop_front();
        }
        let over = self.calls.len() >= allowed as usize;
        if !over {
            self.calls.push_back(now);
        }
        // After a limit was lowered, room comes only when all calls beyond the new limit have left.
        let blocking = self.calls.len().saturating_sub(allowed as usize);
        let oldest = self.calls.get(blocking).copied().unwrap_or(now);
        Some(Reading {
            count: u32::try_from(self.calls.len()).unwrap_or(u32::MAX),
            allowed,
            reset: seconds_until(now, plus_millis(oldest, MINUTE_MS)),
            over,
            is_breach: over && self.changed.is_none_or(|changed| changed <= start),
        })
    }

    pub(super) fn limit_changed(&mut self, now: Timestamp) {
        self.changed = Some(now);
    }
}

/// Until when callers were told to keep away.
#[derive(Debug, Default)]
pub(super) struct RetryWatch(Option<Told>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) at: Timestamp,
    pub(super) not_before: Timestamp,
}

impl RetryWatch {
    /// Notes the `Retry-After` of a 429 that was answered, if it means something.
    pub(super) fn told(&mut self, at: Timestamp, header: &str) {
        let Some(not_before) = meant(at, header) else { return };
        if self.0.is_none_or(|told| told.not_before < not_before) {
            self.0 = Some(Told { at, not_before });
        }
    }

    /// What a call that arrives now disregards, if it does.
    pub(super) fn disregarded(&self, now: Timestamp) -> Option<Told> {
        self.0.filter(|told| plus_millis(told.at, IN_FLIGHT_MS) < now && now < told.not_before)
    }
}

/// The end of the wait that a header asks for: whole seconds or an HTTP date, an hour at the most.
/// Anything else asks for nothing that could be held against a caller.
fn meant(at: Timestamp, header: &str) -> Option<Timestamp> {
    let latest = plus_millis(at, LONGEST_WAIT_MS);
    let header = header.trim();
    let until = match header.parse::<u32>() {
        Ok(seconds) => at.checked_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(latest),
        Err(_) => rfc2822::DateTimeParser::new().parse_timestamp(header).ok()?,
    };
    (until > at).then_some(until.min(latest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        plus_millis(Timestamp::UNIX_EPOCH, millis)
    }

    #[test]
    fn the_minute_slides() {
        let mut window = Window::default();
        for (millis, over, count) in
            [(0, false, 1), (30_000, false, 2), (59_999, true, 2), (60_000, false, 2), (60_001, true, 2)]
        {
            let reading = window.admit(at(millis), 2).unwrap();
            assert_eq!((reading.over, reading.is_breach, reading.count), (over, over, count), "{millis}");
        }
        assert_eq!(window.admit(at(60_001), 2).unwrap().reset, 30, "the call of 30 s leaves at 90 s");
        assert_eq!(window.admit(at(60_001), 0), None);
    }

    #[test]
    fn a_limit_that_was_just_lowered_refuses_but_blames_nobody() {
        let mut window = Window::default();
        for _ in 0..5 {
            window.admit(at(0), 5);
        }
        window.limit_changed(at(10));
        let reading = window.admit(at(20), 2).unwrap();
        assert!(reading.over && !reading.is_breach);
    }

    #[test]
    fn only_a_wait_that_means_something_is_held_against_callers() {
        for (header, until) in [
            ("3", Some(3000)),
            (" 3 ", Some(3000)),
            ("0", None),
            ("-3", None),
            ("1.5", None),
            ("soon", None),
            ("99999999", Some(LONGEST_WAIT_MS)),
            ("Thu, 01 Jan 1970 00:00:09 GMT", Some(9000)),
            ("Wed, 31 Dec 1969 00:00:09 GMT", None),
        ] {
            assert_eq!(meant(at(0), header), until.map(at), "{header}");
        }
    }

    #[test]
    fn calls_on_their_way_and_calls_after_the_wait_disregard_nothing() {
        let mut watch = RetryWatch::default();
        assert_eq!(watch.disregarded(at(0)), None);
        watch.told(at(0), "5");
        watch.told(at(0), "2");
        for (millis, disregards) in [(500, false), (1000, false), (1001, true), (4999, true), (5000, false)] {
            assert_eq!(watch.disregarded(at(millis)).is_some(), disregards, "{millis}");
        }
    }
}
