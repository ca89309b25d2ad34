//! One event of the feed, as callers see it.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::events::EventType;
use crate::store::views::feed::FeedRow;

/// One thing that happened.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeedEvent)]
pub(in crate::api) struct FeedEventBody {
    /// Its number in the feed: by the order of commits, from 1. Those of all orgs together have no gaps.
    no: i64,
    /// The `webhook-id` of its webhooks.
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
    /// None if it is about no org, or about several.
    org: Option<String>,
    purge_id: Option<Uuid>,
    /// Its number within the purge.
    event_no: Option<i32>,
    /// Genesys' id of the job that it is about.
    job_id: Option<String>,
    /// Our id of that job.
    our_job_id: Option<Uuid>,
    hold_id: Option<Uuid>,
    /// Details; the members depend on the type.
    #[schema(value_type = std::collections::BTreeMap<String, serde_json::Value>)]
    payload: serde_json::Value,
}

impl From<FeedRow> for FeedEventBody {
    fn from(row: FeedRow) -> Self {
        Self {
            no: row.no,
            id: row.id,
            kind: row.event,
            at: row.at,
            actor: row.actor,
            request_id: row.request_id,
            org: row.org,
            purge_id: row.purge,
            event_no: row.event_no,
            job_id: row.upstream_job_id,
            our_job_id: row.job,
            hold_id: row.hold,
            payload: row.payload,
        }
    }
}
