//! An organization in which everything happens: every kind of conversation, jobs that fail or stop half way, answers that
//! leave ids out, conflicts, and calls that go wrong.

use genesys_purge::sandbox::{DeletedLooks, Shares};
use serde_json::json;

use super::{Setup, TestService};

/// Small jobs, short waits, and so many conversations of every kind.
pub fn setup(seed: u64, conversations: u32) -> Setup {
    Setup::new()
        .env("PURGE__ORGS__DEFAULT__MAX_BATCH", "60")
        .env("PURGE__ORGS__DEFAULT__DETAILS_BATCH", "100")
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "300ms")
        .env("PURGE__ENGINE__MAX_ATTEMPTS", "2")
        .sandbox(|org| {
            org.seed = seed;
            org.conversations = conversations;
            org.shares = Shares {
                eligible: 0.72,
                held: 0.05,
                young: 0.05,
                active: 0.04,
                deleted: 0.04,
                unknown: 0.04,
                conflict_named: 0.006,
                conflict_unnamed: 0.005,
                unreadable_end: 0.03,
            };
            org.job_duration.jitter_ms = 100;
            org.failed_share = 0.12;
            org.partial_share = 0.12;
            org.leave_out_share = 0.1;
            org.deleted_looks = DeletedLooks::Mixed;
        })
}

/// Lets calls of every kind go wrong now and then, in every way that ends soon.
pub fn break_loose(test: &TestService) {
    for fault in [
        json!({ "call": "submit", "every": 4, "times": 12, "fault": { "reset": "after" } }),
        json!({ "call": "submit", "every": 7, "times": 6, "fault": { "reset": "before" } }),
        json!({ "call": "submit", "every": 11, "times": 3, "when": "after", "fault": { "status": 504 } }),
        json!({ "call": "submit", "every": 13, "times": 2, "fault": { "garbage": "cutJson" } }),
        json!({ "call": "submit", "every": 9, "times": 2, "fault": { "status": 422 } }),
        json!({ "call": "details", "every": 10, "times": 10, "fault": { "status": 503 } }),
        json!({ "call": "details", "every": 17, "times": 5, "fault": { "garbage": "cutBody" } }),
        json!({ "call": "poll", "every": 6, "times": 10, "fault": { "status": 404 } }),
        json!({ "call": "poll", "every": 14, "times": 5, "fault": { "garbage": "html" } }),
    ] {
        test.fault(fault);
    }
}
