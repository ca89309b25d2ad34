//! How long an upstream that throttles asks to wait: by its header, else by its message.
//!
//! Invariant: a pure function; the time it measures dates from is handed in.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::retry_after::{self, SHORTEST};

/// No wait that one answer asks for keeps an org from work for longer.
const LONGEST: Duration = Duration::from_hours(1);

/// What stands before the number in the message of a throttled call: `Retry the request in [12] seconds`.
const BEFORE_NUMBER: &str = "retry the request in [";

/// The wait that an answer asks for: its `Retry-After` values (the longest of them counts), else the number in its
/// message, else `None`. `answered_at` is upstream's own clock where it told it, and the caller's otherwise.
pub(super) fn wait<'a>(
    retry_after: impl IntoIterator<Item = &'a str>,
    message: Option<&str>,
    answered_at: Timestamp,
) -> Option<Duration> {
    let asked = retry_after::wait(retry_after, answered_at, LONGEST);
    asked.or_else(|| message.and_then(seconds_in_message))
}

fn seconds_in_message(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    let after = &message[message.find(BEFORE_NUMBER)? + BEFORE_NUMBER.len()..];
    retry_after::seconds(after.split_once(']')?.0).map(|wait| wait.clamp(SHORTEST, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_message_counts_only_where_the_header_says_nothing() {
        let message = "Rate limit exceeded. Retry the request in [12] seconds";
        let cases: &[(&[&str], &str, Option<u64>)] = &[
            (&[], message, Some(12)),
            (&["soon"], message, Some(12)),
            (&["3"], message, Some(3)),
            (&[], "retry THE request in [0] seconds", Some(1)),
            (&[], "Retry the request in [999999] seconds", Some(3600)),
            (&[], "Retry the request in [a while] seconds", None),
            (&[], "Retry the request in [12", None),
            (&[], "Retry the request later [12]", None),
        ];
        for (values, message, expected) in cases {
            let wait = wait(values.iter().copied(), Some(message), at());
            assert_eq!(wait, expected.map(Duration::from_secs), "{values:?} {message:?}");
        }
    }
}
