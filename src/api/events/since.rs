//! Where to start in the feed: after a number, or at a time.

use jiff::Timestamp;

use crate::api::problem::Problem;
use crate::store::Store;

/// Reads `?since=` and `Last-Event-ID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Number(i64),
    Time(Timestamp),
}

impl Since {
    fn parse(text: &str) -> Option<Self> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { text.parse().ok().map(Self::Number) } else { text.parse().ok().map(Self::Time) }
    }
}

/// The number after which to start.
pub(super) async fn after(store: &Store, since: &str) -> Result<i64, Problem> {
    match Since::parse(since) {
        Some(Since::Number(number)) => Ok(number),
        // Postgres knows fewer years than callers, and nothing is as old.
        Some(Since::Time(time)) => Ok(store.feed_before(time.max(Timestamp::UNIX_EPOCH)).await?),
        None => {
            let detail = "must be the `no` of an event, or a time such as 2026-11-25T12:00:00Z";
            Err(Problem::invalid_query("since", detail))
        }
    }
}

/// For a number that no event has: its client followed the feed of a database that has since gone back in time or was
/// replaced.
pub(super) const NOT_GIVEN: &str = "is higher than the number of any event: the database was restored, or this is another service; continue from a time";

/// Whether the number was given to an event, or to all before the first.
pub(super) const fn is_given(number: i64, end: i64) -> bool {
    number <= end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_a_time_is_read_and_nothing_else() {
        assert_eq!(Since::parse("0"), Some(Since::Number(0)));
        assert_eq!(Since::parse("9223372036854775807"), Some(Since::Number(i64::MAX)));
        assert!(matches!(Since::parse("2026-11-25T12:00:00Z"), Some(Since::Time(_))));
        assert!(matches!(Since::parse("2026-11-25T12:00:00+02:00"), Some(Since::Time(_))));
        for wrong in
            ["", " 1", "-1", "+1", "1.0", "9223372036854775808", "now", "2026-11-25", "2026-11-25T12:00:00"]
        {
            assert_eq!(Since::parse(wrong), None, "{wrong:?}");
        }
    }
}
