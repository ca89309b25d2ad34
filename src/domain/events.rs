//! The payloads of events, for history and webhooks: built once and never changed.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use uuid::Uuid;

use super::act::Act;
use super::counts::Tally;
use super::state::PurgeState;
use super::words::words;

words! {
    EventType, "type of an event" {
        /// A purge was accepted.
        PurgeAccepted = "purge_accepted",
        /// The first question about it was asked.
        PurgeStarted = "purge_started",
        /// Nothing new of it is begun.
        PurgePaused = "purge_paused",
        PurgeResumed = "purge_resumed",
        /// Somebody canceled it; it is final when its live jobs are.
        PurgeCanceling = "purge_canceling",
        /// Its failed conversations are taken up again.
        PurgeRetried = "purge_retried",
        /// An upstream job that carried some of it ended.
        PurgeJobCompleted = "purge_job_completed",
        /// Final: every conversation ended lawfully.
        PurgeCompleted = "purge_completed",
        /// Final: some conversations should have been purged and were not.
        PurgeFailed = "purge_failed",
        PurgeCanceled = "purge_canceled",
        /// A legal hold is in force.
        HoldCreated = "hold_created",
        /// A legal hold was released.
        HoldReleased = "hold_released",
        /// Upstream refuses an org, whose work waits.
        OrgBlocked = "org_blocked",
        /// Upstream accepts it again.
        OrgUnblocked = "org_unblocked",
        /// Other retention rules are in force for an org.
        RetentionChanged = "retention_changed",
        /// An operator stopped an org: nothing is begun.
        OrgStopped = "org_stopped",
        OrgResumed = "org_resumed",
        /// The database went back in time: the org is stopped.
        DatabaseRewound = "database_rewound",
        /// Conversations were found gone after their job was given up; their outcome stays.
        GoneLate = "gone_late",
        /// A slice of the purge can't be read: its conversations wait for a repair.
        SliceParked = "slice_parked",
        /// It can be read again, and goes on.
        SliceUnparked = "slice_unparked",
        /// Somebody had webhooks sent again.
        WebhooksRedelivered = "webhooks_redelivered",
        /// Somebody registered a webhook endpoint.
        EndpointCreated = "endpoint_created",
        EndpointChanged = "endpoint_changed",
        EndpointDeleted = "endpoint_deleted",
        /// It has another secret; the one before signs beside it for a day.
        EndpointSecretRotated = "endpoint_secret_rotated",
        /// It failed for so long, or said itself that it is gone: it is sent nothing more.
        EndpointDisabled = "endpoint_disabled",
    }
}

impl EventType {
    /// The event of a purge that reached this state; `None` where the state is not final.
    pub const fn of_final(state: PurgeState) -> Option<Self> {
        match state {
            PurgeState::Completed => Some(Self::PurgeCompleted),
            PurgeState::Failed => Some(Self::PurgeFailed),
            PurgeState::Canceled => Some(Self::PurgeCanceled),
            _ => None,
        }
    }

    /// The event of an act.
    pub const fn of_act(act: Act) -> Self {
        match act {
            Act::Cancel => Self::PurgeCanceling,
            Act::Pause => Self::PurgePaused,
            Act::Resume => Self::PurgeResumed,
            Act::Retry => Self::PurgeRetried,
        }
    }
}

/// The body of `purge_job_completed`: the fields that receivers written for the tutorial read, and the purges.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PurgeJobCompletedEvent)]
pub struct JobCompleted {
    /// Always `purge_job_completed`.
    #[schema(schema_with = only_job_completed)]
    pub event: EventType,
    /// Genesys' id of the job.
    pub job_id: String,
    /// `completed` or `failed`, as upstream said it.
    pub state: &'static str,
    /// Told to the operator's receiver: as upstream said it, 0 where no message. To an endpoint: the purge's conversations
    /// that were seen to be gone.
    pub records_processed: i64,
    /// From the submit to the poll that found it ended, with two decimals.
    pub latency_seconds: f64,
    pub timestamp: Timestamp,
    /// How many purges it carried.
    pub purge_count: usize,
    /// The purge: always sent to an endpoint; to the operator's receiver if the job carried one purge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purge_id: Option<Uuid>,
}

/// The body of `purge_completed`, `purge_failed` and `purge_canceled`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PurgeFinishedEvent)]
pub struct PurgeFinished {
    /// Which of the three.
    #[schema(schema_with = finals)]
    pub event: EventType,
    pub purge_id: Uuid,
    /// Which run of it ended.
    pub run: i32,
    pub org: String,
    /// The caller's own name for it.
    pub reference: Option<String>,
    /// The caller's labels.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub labels: serde_json::Value,
    /// A dry run: it only found out what would be purged.
    pub dry_run: bool,
    /// How its conversations ended.
    pub counts: Tally,
    /// When it was first checked with Genesys.
    pub started_at: Option<Timestamp>,
    /// When its last conversation ended.
    pub finished_at: Timestamp,
    /// When this was written.
    pub timestamp: Timestamp,
}

/// The body of `org_blocked` and `org_unblocked`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrgBlockedEvent)]
pub struct OrgHurdle {
    /// Which of the two.
    #[schema(schema_with = hurdles)]
    pub event: EventType,
    pub org: String,
    /// What is in the way, as a stable code; null if it is over.
    pub code: Option<String>,
    /// What is missing, and what to do.
    pub detail: Option<String>,
    pub timestamp: Timestamp,
}

/// The body of `endpoint_disabled`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointDisabledEvent)]
pub struct EndpointDisabled {
    /// Always `endpoint_disabled`.
    #[schema(schema_with = only_endpoint_disabled)]
    pub event: EventType,
    pub endpoint_id: Uuid,
    /// Scheme and host of its URL: the rest may be a secret.
    pub host: String,
    pub reason: String,
    /// When it began to fail without a success since.
    pub failing_since: Option<Timestamp>,
    pub timestamp: Timestamp,
}

/// The body of `ping`, a test.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PingEvent)]
pub struct Ping {
    /// Always `ping`.
    #[schema(schema_with = only_ping)]
    pub event: &'static str,
    pub endpoint_id: Uuid,
    pub timestamp: Timestamp,
}

impl Ping {
    pub const fn new(endpoint_id: Uuid, timestamp: Timestamp) -> Self {
        Self { event: "ping", endpoint_id, timestamp }
    }
}

/// One of these words.
fn one_of(words: &[&str]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())).build()
}

fn only_job_completed() -> Object {
    one_of(&["purge_job_completed"])
}

fn finals() -> Object {
    one_of(&["purge_completed", "purge_failed", "purge_canceled"])
}

fn hurdles() -> Object {
    one_of(&["org_blocked", "org_unblocked"])
}

fn only_endpoint_disabled() -> Object {
    one_of(&["endpoint_disabled"])
}

fn only_ping() -> Object {
    one_of(&["ping"])
}

/// Seconds with two decimals, as the tutorial's receivers read them.
pub fn latency(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tutorials_receivers_find_their_fields() {
        let body = JobCompleted {
            event: EventType::PurgeJobCompleted,
            job_id: "j-1".to_owned(),
            state: "completed",
            records_processed: 500,
            latency_seconds: latency(12.345_678),
            timestamp: "2026-11-25T12:00:00Z".parse().unwrap(),
            purge_count: 2,
            purge_id: None,
        };
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"event":"purge_job_completed","jobId":"j-1","state":"completed","recordsProcessed":500,"latencySeconds":12.35,"timestamp":"2026-11-25T12:00:00Z","purgeCount":2}"#
        );
    }
}
