//! A purge in words: what a line says while it runs, and the table at its end.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::cli::caller::{Trouble, conversations};

/// The outcomes in the order in which people ask for them; what a newer service has beside them follows.
const OUTCOMES: [&str; 12] = [
    "purged",
    "already_purged",
    "would_purge",
    "on_hold",
    "retained",
    "active",
    "not_found",
    "failed",
    "canceled",
    "submitted",
    "eligible",
    "pending",
];
/// Those that are not final.
const OPEN: [&str; 3] = ["pending", "eligible", "submitted"];
/// What stands among the counts and is no outcome.
const BESIDE: [&str; 2] = ["total", "duplicates"];

/// What these commands read of a purge.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Purge {
    pub(super) id: Uuid,
    pub(super) state: String,
    #[serde(default)]
    pub(super) dry_run: bool,
    counts: BTreeMap<String, u64>,
    #[serde(default)]
    progress: Progress,
    blocked_reason: Option<Reason>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    per_minute: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Reason {
    code: String,
    detail: String,
}

impl Purge {
    pub(super) fn read(answer: &Value) -> Result<Self, Trouble> {
        Self::deserialize(answer).map_err(|error| {
            let why = format!("the answer is not a purge ({error}); is this the URL of the service?");
            Trouble::Unreadable(anyhow::anyhow!(why))
        })
    }

    pub(super) fn is_final(&self) -> bool {
        matches!(self.state.as_str(), "completed" | "failed" | "canceled")
    }

    pub(super) fn count(&self, outcome: &str) -> u64 {
        self.counts.get(outcome).copied().unwrap_or_default()
    }

    pub(super) fn total(&self) -> u64 {
        self.count("total")
    }

    /// How many conversations have their final outcome.
    pub(super) fn done(&self) -> u64 {
        self.total().saturating_sub(OPEN.iter().map(|outcome| self.count(outcome)).sum())
    }

    /// `3400/min, 2 min left`, as far as it is known.
    pub(super) fn pace(&self) -> String {
        let Some(per_minute) = self.progress.per_minute.filter(|rate| *rate > 0.0 && !self.is_final()) else {
            return String::new();
        };
        #[expect(clippy::cast_precision_loss, reason = "an estimate is no count")]
        let left = (self.total() - self.done()) as f64 / per_minute;
        format!("{per_minute:.0}/min, {} left", minutes(left))
    }

    /// `purged 6651, on_hold 814`: what is there, final outcomes first.
    pub(super) fn outcomes(&self) -> String {
        let told = self.rows().into_iter().map(|(outcome, number)| format!("{outcome} {number}"));
        told.collect::<Vec<_>>().join(", ")
    }

    /// What is told of a submit.
    pub(super) fn accepted(&self) -> String {
        let dry = if self.dry_run { "dry run, nothing is deleted: " } else { "" };
        format!("{dry}accepted, {}", conversations(self.total()))
    }

    /// Why its work waits, where it does.
    pub(super) fn waits_for(&self) -> Option<String> {
        let reason = self.blocked_reason.as_ref().filter(|_| !self.is_final())?;
        Some(format!("{}: {}", reason.code, reason.detail))
    }

    /// The end: how it ended, a row per outcome, and what to ask next, with these options; for so many columns, where they are
    /// known.
    pub(super) fn summary(&self, options: &str, width: Option<usize>) -> Vec<String> {
        let repeats = match self.count("duplicates") {
            0 => String::new(),
            number => format!(", {number} repeats left out"),
        };
        let dry = if self.dry_run { "dry run " } else { "" };
        let many = conversations(self.total());
        let mut lines = vec![format!("{dry}{}: {many}{repeats}", self.state)];
        lines.extend(self.rows().iter().map(|(outcome, number)| format!("  {outcome:<16}{number:>10}")));
        if self.dry_run {
            lines.push("Nothing was deleted: without --dry-run, would_purge is purged.".to_owned());
        }
        let id = self.id.to_string();
        let report = ["genesys-purge purge report", &id, options];
        if self.count("failed") > 0 {
            lines.push("Why each one failed:".to_owned());
            lines.extend(command(&[&report[..], &["--outcome failed"]].concat(), width));
        }
        lines.push("One row per conversation:".to_owned());
        lines.extend(command(&report, width));
        lines
    }

    /// Outcomes that any conversation has.
    fn rows(&self) -> Vec<(&str, u64)> {
        let known = OUTCOMES.into_iter();
        let others = self.counts.keys().map(String::as_str);
        let others = others.filter(|outcome| !OUTCOMES.contains(outcome) && !BESIDE.contains(outcome));
        known
            .chain(others)
            .map(|outcome| (outcome, self.count(outcome)))
            .filter(|(_, number)| *number > 0)
            .collect()
    }
}

/// A command in lines of so many columns: whoever copies them all has the whole of it.
fn command(parts: &[&str], width: Option<usize>) -> Vec<String> {
    let mut lines = vec![format!("  {}", parts.first().copied().unwrap_or_default())];
    for part in parts.iter().skip(1).filter(|part| !part.is_empty()) {
        let longer = lines.last().map_or(0, |line| line.len() + 1 + part.len());
        match lines.last_mut() {
            // Room for what says that it goes on.
            Some(line) if width.is_none_or(|width| longer + 2 <= width) => line.extend([" ", part]),
            Some(line) => {
                line.push_str(" \\");
                lines.push(format!("    {part}"));
            }
            None => {}
        }
    }
    lines
}

/// A time that nobody takes for exact.
fn minutes(left: f64) -> String {
    match left {
        left if left < 1.0 => "<1 min".to_owned(),
        left if left < 60.0 => format!("{left:.0} min"),
        left if left < 48.0 * 60.0 => format!("{:.0} h", left / 60.0),
        left => format!("{:.0} days", left / (24.0 * 60.0)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn purge(state: &str, counts: &Value, rest: &Value) -> Purge {
        let mut purge =
            json!({ "id": "0198c4a6-71f1-7a7b-9d8f-3f8f1f6f2b11", "state": state, "counts": counts });
        purge.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        Purge::read(&purge).unwrap()
    }

    #[test]
    fn a_running_purge_tells_what_is_done_at_which_pace_and_what_it_waits_for() {
        let counts = json!({ "total": 100, "duplicates": 3, "pending": 20, "submitted": 20, "purged": 50, "on_hold": 10 });
        let reason = json!({ "progress": { "perMinute": 20.0 }, "blockedReason": { "code": "forbidden", "detail": "no" } });
        let running = purge("running", &counts, &reason);
        assert_eq!((running.done(), running.total()), (60, 100));
        assert_eq!(running.pace(), "20/min, 2 min left");
        assert_eq!(running.outcomes(), "purged 50, on_hold 10, submitted 20, pending 20");
        assert_eq!(running.waits_for().as_deref(), Some("forbidden: no"));
        assert_eq!(purge("queued", &counts, &json!({})).pace(), "");
    }

    #[test]
    fn the_end_is_a_table_with_what_to_read_next() {
        let counts = json!({ "total": 3, "duplicates": 2, "purged": 1, "failed": 1, "evaporated": 1 });
        let lines = purge("failed", &counts, &json!({ "blockedReason": { "code": "a", "detail": "b" } }))
            .summary("", None);
        assert_eq!(
            lines,
            [
                "failed: 3 conversations, 2 repeats left out",
                "  purged                   1",
                "  failed                   1",
                "  evaporated               1",
                "Why each one failed:",
                "  genesys-purge purge report 0198c4a6-71f1-7a7b-9d8f-3f8f1f6f2b11 --outcome failed",
                "One row per conversation:",
                "  genesys-purge purge report 0198c4a6-71f1-7a7b-9d8f-3f8f1f6f2b11",
            ]
        );
        let narrow = purge("failed", &counts, &json!({})).summary("--url X", Some(46));
        assert_eq!(
            narrow[4..],
            [
                "Why each one failed:",
                "  genesys-purge purge report \\",
                "    0198c4a6-71f1-7a7b-9d8f-3f8f1f6f2b11 \\",
                "    --url X --outcome failed",
                "One row per conversation:",
                "  genesys-purge purge report \\",
                "    0198c4a6-71f1-7a7b-9d8f-3f8f1f6f2b11 \\",
                "    --url X",
            ]
        );
        let dry = purge("completed", &json!({ "total": 1, "would_purge": 1 }), &json!({ "dryRun": true }));
        let told = dry.summary("", None);
        assert_eq!(told[0], "dry run completed: 1 conversation");
        assert!(told[2].starts_with("Nothing was deleted"), "{told:?}");
    }

    #[test]
    fn what_is_left_is_told_as_roughly_as_it_is_known() {
        for (left, expected) in
            [(0.0, "<1 min"), (1.6, "2 min"), (90.0, "2 h"), (4000.0, "3 days"), (f64::MAX / 2.0, " days")]
        {
            assert!(minutes(left).ends_with(expected), "{left}: {}", minutes(left));
        }
    }
}
