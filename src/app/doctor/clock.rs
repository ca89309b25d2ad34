//! Compares two clocks as the engine does: a conversation's age is only as good as the clocks.

use jiff::{SignedDuration, Timestamp};

use super::finding::Finding;
use crate::domain::clocks;

/// Clocks that are kept by anybody agree better than this.
const NOTEWORTHY: SignedDuration = SignedDuration::from_secs(2);

/// Compares a clock, which is somebody's, with another that was read within `doubt`.
pub(super) fn compare(
    check: &'static str,
    (whose, own): (&str, Timestamp),
    other: Timestamp,
    doubt: SignedDuration,
) -> Finding {
    let apart = other.duration_since(own);
    let seconds = apart.abs().as_secs_f64();
    let direction = if apart.is_negative() { "behind" } else { "ahead of" };
    let told = format!("it is {seconds:.1} s {direction} {whose}");
    if clocks::earliest(other, own, Some(other)).is_err() {
        let remedy = "set the clocks right: an org whose clocks are more than 5 minutes apart is blocked";
        return Finding::fail(check, told, remedy);
    }
    if apart.abs() > NOTEWORTHY + doubt {
        return Finding::warn(check, told, "let a time service (NTP) keep this machine's clock");
    }
    Finding::ok(check, format_args!("it agrees with {whose}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::Verdict;

    #[test]
    fn seconds_are_worth_a_warning_and_minutes_block() {
        let own = Timestamp::from_second(1_764_000_000).unwrap();
        let table = [
            (0, 0, Verdict::Ok, "agrees"),
            (2000, 0, Verdict::Ok, "agrees"),
            (-2600, 0, Verdict::Warn, "2.6 s behind"),
            (2600, 1000, Verdict::Ok, "agrees"),
            (300_000, 0, Verdict::Warn, "300.0 s ahead of"),
            (301_000, 0, Verdict::Fail, "301.0 s ahead of"),
            (-301_000, 10_000, Verdict::Fail, "301.0 s behind"),
        ];
        for (apart, doubt, verdict, told) in table {
            let other = own.checked_add(SignedDuration::from_millis(apart)).unwrap();
            let finding = compare("clock", ("ours", own), other, SignedDuration::from_millis(doubt));
            assert_eq!(finding.verdict, verdict, "{apart}: {finding:?}");
            assert!(finding.detail.contains(told), "{apart}: {finding:?}");
        }
    }
}
