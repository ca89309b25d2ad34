//! What a decision found out about an id, for all purges of the org that name it.

use super::outcome::Outcome;
use super::reason::codes;

/// What one decision found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    Gone,
    /// Something stands against deleting it.
    Kept,
    /// A job that carried it let it go unseen.
    Carried,
}

/// What this decision found out. `is_carried`: the conversation is marked as carried once it is decided.
pub fn findings(from: Outcome, to: Outcome, code: &str, is_carried: bool) -> &'static [Finding] {
    match to {
        Outcome::Purged | Outcome::AlreadyPurged => &[Finding::Gone],
        _ if code == codes::GONE_LATE.code => &[Finding::Gone],
        // A job had it: whatever it counts as now, it may be gone.
        Outcome::OnHold if from == Outcome::Submitted && is_carried => &[Finding::Kept, Finding::Carried],
        Outcome::Eligible | Outcome::Failed if from == Outcome::Submitted && is_carried => {
            &[Finding::Carried]
        }
        Outcome::OnHold | Outcome::Retained | Outcome::Active | Outcome::NotFound => &[Finding::Kept],
        Outcome::Pending
        | Outcome::Eligible
        | Outcome::Submitted
        | Outcome::Failed
        | Outcome::Canceled
        | Outcome::WouldPurge => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_had_may_be_gone_whatever_it_counts_as() {
        use Outcome::{
            AlreadyPurged, Canceled, Eligible, Failed, OnHold, Pending, Purged, Retained, Submitted,
        };
        let still_there = codes::STILL_PRESENT.code;
        let table: [(Outcome, Outcome, bool, &[Finding]); 11] = [
            (Submitted, Purged, true, &[Finding::Gone]),
            (Pending, AlreadyPurged, false, &[Finding::Gone]),
            (Submitted, Eligible, true, &[Finding::Carried]),
            (Submitted, Eligible, false, &[]),
            (Submitted, OnHold, true, &[Finding::Kept, Finding::Carried]),
            (Submitted, OnHold, false, &[Finding::Kept]),
            (Submitted, Failed, true, &[Finding::Carried]),
            (Pending, OnHold, true, &[Finding::Kept]),
            (Pending, Retained, false, &[Finding::Kept]),
            (Pending, Failed, true, &[]),
            (Eligible, Canceled, false, &[]),
        ];
        for (from, to, is_carried, expected) in table {
            assert_eq!(findings(from, to, &still_there, is_carried), expected, "{from} -> {to} {is_carried}");
        }
        assert_eq!(findings(Failed, Failed, &codes::GONE_LATE.code, true), [Finding::Gone]);
    }
}
