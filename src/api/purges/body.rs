//! A purge as callers read it.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::done::ActBody;
use crate::domain::counts::Tally;
use crate::domain::progress;
use crate::domain::state::PurgeState;
use crate::store::purges::load::{Parked, Purge};
use crate::store::purges::steer::NOT_FOUND_SHARE;

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
    /// The webhook endpoint that it named (`webhookUrl`).
    webhook_endpoint_id: Option<Uuid>,
    /// Why its work waits, if it does.
    blocked_reason: Option<BlockedReason>,
    /// Why the service paused it, if it was not a caller: `not_found_share` means that Genesys does not know too many
    /// of its conversations. Resuming it confirms that this is intended.
    paused_reason: Option<BlockedReason>,
    /// Who canceled, paused, resumed or retried it last, and why: the last of each kind, newest first. They stay when they
    /// are over; the events have all of them.
    acts: Vec<ActBody>,
    /// What can't be read from the database and waits for an operator, if anything: it is not submitted, and the purge
    /// is not final until it is repaired. The counts have its last known outcomes.
    parked: Option<ParkedBody>,
}

/// A purge as it was accepted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct AcceptedPurge {
    #[serde(flatten)]
    pub(super) purge: PurgeBody,
    /// The secret that the receiver at `webhookUrl` verifies signatures with; only this answer and those to repeats of the request have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhook_secret: Option<String>,
}

/// How fast it goes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Progress {
    /// Conversations per minute that reached a final outcome: over the last two to four minutes, or since the start if
    /// that is more recent; of a final purge, from its start to its end. Null before the start. It starts again after a
    /// pause of ten minutes or more.
    per_minute: Option<f64>,
    /// When the last conversation will, at this rate. Null if that is unknown: not started, paused, blocked, stopped,
    /// final, or nothing became final in the last minutes.
    estimated_finish_at: Option<Timestamp>,
}

/// What can't be read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Parked)]
struct ParkedBody {
    /// Runs of conversations that can't be read.
    slices: i64,
    /// The conversations in them.
    conversations: i64,
    /// Since the first was parked.
    since: Timestamp,
    /// What can't be read of the first.
    error: String,
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
            webhook_endpoint_id: purge.endpoint,
            blocked_reason: purge.blocked.map(|(code, detail)| BlockedReason { code, detail }),
            paused_reason: purge
                .paused_for
                .map(|detail| BlockedReason { code: NOT_FOUND_SHARE.to_owned(), detail }),
            acts: purge.acts.into_iter().map(ActBody::from).collect(),
            parked: purge.parked.map(|Parked { slices, conversations, since, error }| ParkedBody {
                slices,
                conversations,
                since,
                error,
            }),
        }
    }
}

/// The rate of a purge that has ended is over its whole time; of a running one over its last minutes. A purge that
/// waits has no estimated end.
fn progress(purge: &Purge) -> Progress {
    let (per_minute, estimated_finish_at) = pace(purge);
    Progress { per_minute, estimated_finish_at }
}

/// Conversations a minute, and the estimated end.
pub(crate) fn pace(purge: &Purge) -> (Option<f64>, Option<Timestamp>) {
    let open = purge.counts.pending + purge.counts.eligible + purge.counts.submitted;
    let settled = purge.counts.total - open;
    let per_second = match (purge.started_at, purge.finished_at) {
        (Some(started), Some(finished)) => progress::rate(settled, finished.duration_since(started)),
        (Some(_), None) => {
            purge.milestones.and_then(|milestones| milestones.per_second(purge.read_at, settled))
        }
        (None, _) => None,
    };
    let is_under_way =
        matches!(purge.state, PurgeState::Running | PurgeState::Canceling) && purge.blocked.is_none();
    let left = per_second.filter(|_| is_under_way).and_then(|per_second| progress::left(open, per_second));
    let per_minute = per_second.map(|per_second| (per_second * 600.0).round() / 10.0);
    (per_minute, left.and_then(|left| purge.read_at.checked_add(left).ok()))
}
