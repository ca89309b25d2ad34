//! A purge as callers read it.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::counts::Tally;
use crate::domain::state::PurgeState;
use crate::store::purges::load::Purge;

/// A purge.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Purge)]
pub(in crate::api) struct PurgeBody {
    id: Uuid,
    state: PurgeState,
    /// 1, and one more with every retry.
    run: i32,
    org: String,
    reason: Option<String>,
    reference: Option<String>,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    labels: serde_json::Value,
    dry_run: bool,
    counts: Tally,
    progress: Progress,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    /// The name of the key that asked for it.
    requested_by: String,
    /// Why its work waits, where it does.
    blocked_reason: Option<BlockedReason>,
}

/// How fast it goes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Progress {
    /// Conversations that reached a final outcome, a minute, since the start.
    per_minute: Option<f64>,
    /// When the last will, at this rate.
    estimated_finish_at: Option<Timestamp>,
}

/// Why work waits.
#[derive(Debug, Serialize, ToSchema)]
struct BlockedReason {
    /// A stable word.
    code: String,
    /// What is missing, and what to do.
    detail: String,
}

impl From<Purge> for PurgeBody {
    fn from(purge: Purge) -> Self {
        Self {
            id: purge.id,
            state: purge.state,
            run: purge.run,
            progress: progress(&purge),
            org: purge.org,
            reason: purge.reason,
            reference: purge.reference,
            labels: purge.labels,
            dry_run: purge.is_dry_run,
            counts: purge.counts,
            created_at: purge.created_at,
            started_at: purge.started_at,
            finished_at: purge.finished_at,
            requested_by: purge.requested_by,
            blocked_reason: purge.blocked.map(|(code, detail)| BlockedReason { code, detail }),
        }
    }
}

fn progress(purge: &Purge) -> Progress {
    let until = purge.finished_at.unwrap_or(purge.read_at);
    let open = purge.counts.pending + purge.counts.eligible + purge.counts.submitted;
    let settled = purge.counts.total - open;
    let elapsed = purge.started_at.map(|started| until.duration_since(started).as_secs_f64());
    let Some(elapsed) = elapsed.filter(|elapsed| *elapsed > 0.0 && settled > 0) else {
        return Progress { per_minute: None, estimated_finish_at: None };
    };
    #[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
    let (settled, open) = (settled as f64, open as f64);
    let per_second = settled / elapsed;
    let left = Duration::try_from_secs_f64(open / per_second).ok().filter(|_| purge.finished_at.is_none());
    Progress {
        per_minute: Some((per_second * 600.0).round() / 10.0),
        estimated_finish_at: left.and_then(|left| purge.read_at.checked_add(left).ok()),
    }
}
