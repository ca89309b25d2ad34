//! Rules that a good caller never breaks, and the evidence of each time that one was broken.
//!
//! Invariant: the sandbox blames a caller only for what the caller could know.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// So many breaches are kept with their evidence; all are counted.
const KEPT: usize = 1000;
/// So many ids stand in one breach's evidence; their number is always exact.
const IDS_SHOWN: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A submit named a conversation that is held, young, active or unknown. One that became so while the sandbox
    /// ran counts from the first details answer that showed it.
    ProtectedIdSubmitted,
    /// A submit named a conversation that a live job carries.
    IdInTwoLiveJobs,
    /// A submit named a conversation that is deleted.
    IdSubmittedAgainAfterDeletion,
    /// More calls in 60 seconds than the limit that has held for at least a minute.
    TooManyCallsAMinute,
    /// A submit while as many jobs as allowed were live.
    TooManyLiveJobs,
    /// A call before the `Retry-After` of a 429 had passed (and more than a second after that 429).
    CallBeforeRetryAfter,
    /// A submit named a conversation twice.
    DuplicateIdInBatch,
    /// A submit named more conversations than a batch may hold.
    BatchTooLarge,
    /// A token was used more than five seconds after it had expired.
    ExpiredTokenUsed,
    /// A submit did not say `"permanentDelete": true`.
    PermanentDeleteMissing,
}

/// One time that a rule was broken.
#[derive(Debug, Clone, Serialize)]
pub struct Breach {
    pub rule: Rule,
    pub at: Timestamp,
    pub evidence: Value,
}

#[derive(Debug, Default)]
pub(super) struct Breaches {
    counts: BTreeMap<Rule, u64>,
    first: Vec<Breach>,
}

impl Breaches {
    pub(super) fn note(&mut self, rule: Rule, at: Timestamp, evidence: Value) {
        *self.counts.entry(rule).or_default() += 1;
        if self.first.len() < KEPT {
            self.first.push(Breach { rule, at, evidence });
        }
    }

    /// Notes that a submit broke a rule with some of its ids; nothing where there are none.
    pub(super) fn note_ids(&mut self, rule: Rule, at: Timestamp, ids: &[impl Serialize]) {
        if !ids.is_empty() {
            let shown = &ids[..ids.len().min(IDS_SHOWN)];
            self.note(rule, at, serde_json::json!({"count": ids.len(), "ids": shown}));
        }
    }

    /// How often each rule was broken; those that never were are not listed.
    pub(super) fn counts(&self) -> &BTreeMap<Rule, u64> {
        &self.counts
    }

    /// The first breaches, with evidence.
    pub(super) fn first(&self) -> &[Breach] {
        &self.first
    }
}
