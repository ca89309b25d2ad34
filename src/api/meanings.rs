//! The meanings of outcomes and codes, for the OpenAPI document. The same tables are in docs/architecture.md; a test
//! compares them.

use std::fmt::Write as _;

use utoipa::openapi::{OpenApi, RefOr, Schema};

/// An outcome and what it means.
const OUTCOMES: &[(&str, &str)] = &[
    ("pending", "needs details from Genesys"),
    ("eligible", "ready to be submitted"),
    ("submitted", "about to be submitted, or submitted; its fate is open"),
    ("purged", "deleted by this purge, and seen to be gone"),
    ("already_purged", "gone before any job of this purge carried it"),
    ("on_hold", "a legal hold protects it, ours or upstream's"),
    ("retained", "its retention period has not expired, or its age is unknown"),
    ("not_found", "upstream does not know it"),
    ("active", "it has not ended"),
    ("failed", "should have been purged and was not"),
    ("canceled", "the purge was canceled before it was submitted"),
    ("would_purge", "dry runs only: it would have been submitted"),
];

/// A code, the outcomes that it stands with, and what it means.
const CODES: &[(&str, &str, &str)] = &[
    ("eligible", "`eligible`, `would_purge`", "nothing protects it"),
    ("intent", "`submitted`", "an intent named it"),
    ("gone", "`purged`, `already_purged`", "upstream calls it deleted or purged"),
    (
        "absent_twice",
        "`purged`, `already_purged`, `not_found`",
        "two complete answers, some time apart, left it out; `already_purged` if a job of another purge carried it",
    ),
    ("seen_gone_later", "`purged`", "seen to be gone later, after a job of this purge carried it"),
    ("gone_after_lost_submit", "`purged`", "gone, though the submit got no answer"),
    ("legal_hold", "`on_hold`", "a hold recorded in this service names it"),
    ("upstream_legal_hold", "`on_hold`", "Genesys marks it as held"),
    ("upstream_conflict", "`on_hold`", "Genesys refused the batch because of this conversation"),
    ("not_ended", "`active`", "it has no end"),
    ("retention_period", "`retained`", "its retention period has not expired; the detail says until when"),
    ("unknown_age", "`retained`", "its end can't be read, or is before its start"),
    ("fate_unread", "`eligible`", "its job ended while its slice could not be read: it is checked again"),
    (
        "facts_stale",
        "`pending`",
        "what Genesys said of it was too old, judged by other rules, or from before another job had it",
    ),
    ("purged_elsewhere", "`pending`", "another purge purged it since Genesys was asked"),
    ("not_submitted", "`eligible`", "the submit was refused; nothing was deleted"),
    ("present_after_lost_submit", "`eligible`", "still there after the window of a lost submit"),
    (
        "still_present",
        "`eligible`, `failed`",
        "still there after a job that ended; `failed` after `engine.max_attempts` such jobs",
    ),
    (
        "unverified",
        "`failed`",
        "no complete answer within `engine.job_deadline` after the job's end; or, before any job, none about this conversation alone",
    ),
    ("timed_out", "`failed`", "the upstream job did not end in time"),
    ("submit_unknown", "`failed`", "its submits got no answer for `engine.job_deadline`"),
    ("purge_canceled", "`canceled`", "the purge was canceled"),
    (
        "not_seen_gone",
        "`failed`",
        "the purge was canceled after a job carried it, and before it was seen to be gone",
    ),
    (
        "gone_late",
        "any that is final",
        "gone when a job that carried it ended late: the outcome stays, and the job is named",
    ),
    (
        "still_carried",
        "`eligible`",
        "retried while a job that was given up may still delete it: it is judged when that job is over",
    ),
    ("retried", "`pending`", "it failed and is tried again"),
];

/// Adds the meanings of outcomes and codes to the description of outcomes in the OpenAPI document.
pub(super) fn tell(document: &mut OpenApi) {
    let schemas = document.components.as_mut().map(|components| &mut components.schemas);
    if let Some(RefOr::T(Schema::Object(outcome))) = schemas.and_then(|schemas| schemas.get_mut("Outcome")) {
        let own = outcome.description.take().unwrap_or_default();
        outcome.description = Some(format!("{own}\n\n{}", tables()));
    }
}

fn tables() -> String {
    let mut text = "| outcome | meaning |\n|---|---|\n".to_owned();
    for (outcome, meaning) in OUTCOMES {
        let _ = writeln!(text, "| `{outcome}` | {meaning} |");
    }
    text.push_str(
        "\nThe `code` beside an outcome says why. If Genesys refused a conversation, the code is Genesys' own \
         (`upstream_refused` if it gave none), and `detail` has its message.\n\n| code | with | meaning |\n|---|---|---|\n",
    );
    for (code, outcomes, meaning) in CODES {
        let _ = writeln!(text, "| `{code}` | {outcomes} | {meaning} |");
    }
    text
}
