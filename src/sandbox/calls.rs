//! What was called: exact counts for ever, the last calls one by one.
//!
//! Invariant: every call that was read is counted once, whatever became of its answer.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// So many calls are kept one by one.
const KEPT: usize = 10_000;

/// The four calls of the upstream that the sandbox simulates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// `POST /oauth/token`.
    Token,
    /// `POST /api/v2/analytics/conversations/details/query`.
    Details,
    /// `POST /api/v2/analytics/conversations/purge`.
    Submit,
    /// `GET /api/v2/analytics/conversations/purge/{jobId}`.
    Poll,
}

/// How a call ended, as its caller saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With an answer of that status.
    Answered(u16),
    /// With half of an answer of that status, then a reset.
    Cut(u16),
    /// With a reset before any answer.
    Reset,
    Hung,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::Answered(status) => write!(f, "{status}"),
            Ending::Cut(status) => write!(f, "{status} cut"),
            Ending::Reset => f.write_str("reset"),
            Ending::Hung => f.write_str("hung"),
        }
    }
}

impl Serialize for Ending {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Ending::Answered(status) => serializer.serialize_u16(*status),
            other => serializer.collect_str(other),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallEntry {
    pub at: Timestamp,
    pub call: Call,
    /// A status, or `reset`, `hung`, `200 cut`.
    pub status: Ending,
    /// How many ids it named.
    pub ids: usize,
    /// The job that it made or asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<Uuid>,
    /// What `ININ-Correlation-Id` said, or would have said.
    pub correlation_id: Uuid,
    /// Whether a fault rule struck it.
    pub fault: bool,
}

#[derive(Debug, Default)]
pub(super) struct CallLog {
    last: VecDeque<CallEntry>,
    counts: BTreeMap<Call, BTreeMap<String, u64>>,
}

impl CallLog {
    pub(super) fn record(&mut self, entry: CallEntry) {
        *self.counts.entry(entry.call).or_default().entry(entry.status.to_string()).or_default() += 1;
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(entry);
    }

    /// How often each call ended in each way.
    pub(super) fn counts(&self) -> &BTreeMap<Call, BTreeMap<String, u64>> {
        &self.counts
    }

    /// The last calls, oldest first, at most `limit`.
    pub(super) fn last(&self, limit: usize) -> Vec<CallEntry> {
        self.last.iter().skip(self.last.len().saturating_sub(limit)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stay_exact_when_old_entries_go() {
        let mut log = CallLog::default();
        for number in 0..KEPT + 5 {
            log.record(CallEntry {
                at: Timestamp::UNIX_EPOCH,
                call: Call::Poll,
                status: if number < 3 { Ending::Reset } else { Ending::Answered(200) },
                ids: number,
                job_id: None,
                correlation_id: Uuid::nil(),
                fault: false,
            });
        }
        assert_eq!(log.counts()[&Call::Poll]["reset"], 3);
        assert_eq!(log.counts()[&Call::Poll]["200"], KEPT as u64 + 2);
        assert_eq!(log.last(KEPT * 2).len(), KEPT);
        assert_eq!(log.last(1)[0].ids, KEPT + 4);
    }
}
