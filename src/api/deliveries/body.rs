//! A delivery as callers read it.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::events::EventType;
use crate::domain::state::DeliveryState;
use crate::store::deliveries::read::{AttemptRow, DeliveryRow};

/// An event on its way to a receiver.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookDelivery)]
pub(in crate::api) struct DeliveryBody {
    id: Uuid,
    /// The `webhook-id` of every attempt.
    webhook_id: Uuid,
    /// What it tells.
    event: EventType,
    /// The org that it is about; null if none.
    org: Option<String>,
    /// The purge that ended.
    purge_id: Option<Uuid>,
    /// Genesys' id of the job that ended.
    job_id: Option<String>,
    /// The endpoint that it is for; `retention` is the operator's own receiver.
    endpoint: String,
    state: DeliveryState,
    /// How many attempts were recorded.
    attempt: i32,
    created_at: Timestamp,
    /// When it is sent next; null unless it is pending.
    next_attempt_at: Option<Timestamp>,
    /// When it was delivered.
    delivered_at: Option<Timestamp>,
    /// The status of the last answer; null if there was none.
    last_status: Option<i32>,
    /// Why the last attempt failed; null if it did not.
    last_error: Option<String>,
}

/// A delivery, what it sends, and its attempts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookDeliveryWithAttempts)]
pub(in crate::api) struct WholeDelivery {
    #[serde(flatten)]
    pub(super) delivery: DeliveryBody,
    /// The text that is signed and sent.
    pub(super) payload: String,
    /// The last hundred attempts, newest first.
    pub(super) attempts: Vec<AttemptBody>,
}

/// The result of one attempt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookAttempt)]
pub(in crate::api) struct AttemptBody {
    /// Counts within the delivery, from 1.
    attempt: i32,
    /// When it began.
    at: Timestamp,
    /// The status of the answer; null if there was none.
    status: Option<i32>,
    latency_seconds: f64,
    /// The start of the answer's body, up to 4 KiB; what may be a secret from the receiver's URL is removed.
    response: Option<String>,
    /// Why it failed; null if it was delivered.
    error: Option<String>,
}

impl From<DeliveryRow> for DeliveryBody {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: row.id,
            webhook_id: row.event_id,
            event: row.event,
            org: row.org,
            purge_id: row.purge,
            job_id: row.upstream_job_id,
            endpoint: row.endpoint,
            state: row.state,
            attempt: row.attempt,
            created_at: row.created_at,
            next_attempt_at: (row.state == DeliveryState::Pending).then_some(row.run_at),
            delivered_at: row.delivered_at,
            last_status: row.last_status,
            last_error: row.last_error,
        }
    }
}

impl From<AttemptRow> for AttemptBody {
    fn from(row: AttemptRow) -> Self {
        Self {
            attempt: row.attempt,
            at: row.at,
            status: row.status,
            latency_seconds: row.latency_seconds,
            response: row.response,
            error: row.error,
        }
    }
}
