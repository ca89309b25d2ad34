//! The retention matrix: how long a conversation must be kept.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// What to make of a conversation whose end can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownAge {
    /// Keep it: when in doubt the service does not delete.
    Retain,
    /// Treat it as expired.
    Purge,
}

/// The rules in force for an org, as they stand in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Days after its end that a conversation is kept.
    pub default_days: u32,
    /// What to make of an unreadable end.
    pub unknown_age: UnknownAge,
}

impl Policy {
    /// The stricter of both in everything: what either of them keeps is kept.
    #[must_use]
    pub fn strictest(&self, other: &Self) -> Self {
        let unknown_age = match (self.unknown_age, other.unknown_age) {
            (UnknownAge::Purge, UnknownAge::Purge) => UnknownAge::Purge,
            (UnknownAge::Retain, _) | (_, UnknownAge::Retain) => UnknownAge::Retain,
        };
        Self { default_days: self.default_days.max(other.default_days), unknown_age }
    }

    /// The moment from which a conversation that ended at `end` need not be kept any longer.
    ///
    /// A period that leads past the end of time never expires.
    pub fn expires_at(&self, end: Timestamp) -> Timestamp {
        end.to_zoned(TimeZone::UTC)
            .checked_add(i64::from(self.default_days).min(4_000_000).days())
            .map_or(Timestamp::MAX, |expiry| expiry.timestamp())
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unknown_age = match self.unknown_age {
            UnknownAge::Retain => "retain",
            UnknownAge::Purge => "purge",
        };
        write!(f, "default_days = {}, unknown_age = \"{unknown_age}\"", self.default_days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_of_two_keeps_what_either_keeps() {
        use UnknownAge::{Purge, Retain};
        let policy = |default_days, unknown_age| Policy { default_days, unknown_age };
        let table = [
            (policy(365, Retain), policy(1, Purge), policy(365, Retain)),
            (policy(1, Purge), policy(365, Retain), policy(365, Retain)),
            (policy(1, Retain), policy(365, Purge), policy(365, Retain)),
            (policy(7, Purge), policy(7, Purge), policy(7, Purge)),
        ];
        for (one, other, expected) in table {
            assert_eq!(one.strictest(&other), expected, "{one} and {other}");
        }
    }

    #[test]
    fn a_period_counts_from_the_end_and_one_past_the_end_of_time_never_expires() {
        let policy = |default_days| Policy { default_days, unknown_age: UnknownAge::Retain };
        let end: Timestamp = "2025-03-01T12:00:00Z".parse().unwrap();
        let table = [(0, "2025-03-01T12:00:00Z"), (1, "2025-03-02T12:00:00Z"), (365, "2026-03-01T12:00:00Z")];
        for (days, expected) in table {
            assert_eq!(policy(days).expires_at(end), expected.parse::<Timestamp>().unwrap());
        }
        assert_eq!(policy(u32::MAX).expires_at(end), Timestamp::MAX);
    }
}
