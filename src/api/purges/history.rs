//! One event in the history of a purge, as callers see it.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::events::EventType;
use crate::store::views::events::EventRow;

/// One thing that happened to a purge.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub(in crate::api) struct EventBody {
    /// Counts within the purge, from 1, without gaps.
    event_no: i32,
    id: Uuid,
    /// What happened.
    #[serde(rename = "type")]
    kind: EventType,
    at: Timestamp,
    /// The name of the key, or `engine`.
    #[schema(example = "engine")]
    actor: String,
    /// The id of the request that did it.
    request_id: Option<String>,
    /// Genesys' id of the job that it is about.
    job_id: Option<String>,
    /// Our id of that job.
    our_job_id: Option<Uuid>,
    /// Details; the members depend on the type.
    #[schema(value_type = std::collections::BTreeMap<String, serde_json::Value>)]
    payload: serde_json::Value,
}

impl From<EventRow> for EventBody {
    fn from(row: EventRow) -> Self {
        Self {
            event_no: row.event_no,
            id: row.id,
            kind: row.event,
            at: row.at,
            actor: row.actor,
            request_id: row.request_id,
            job_id: row.upstream_job_id,
            our_job_id: row.job,
            payload: row.payload,
        }
    }
}
