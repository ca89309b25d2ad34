//! `GET /purges/{id}/events`: its history.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::unknown;
use crate::api::auth::Authorized;
use crate::api::extract::{PathId, Query};
use crate::api::negotiate::{self, JSON};
use crate::api::page::{self, Page, WhichPage};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
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
    /// The request that did it.
    request_id: Option<String>,
    /// Genesys' id of the job that it is about.
    job_id: Option<String>,
    /// Our id of that job.
    our_job_id: Option<Uuid>,
    /// What is said of it; the members depend on the type.
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

/// Read the history of a purge, oldest first.
///
/// Live streams (`Accept: text/event-stream`) are not supported by this version.
#[utoipa::path(
    get, path = "/purges/{id}/events", tag = "purges",
    params(("id" = uuid::Uuid, Path, description = "The purge."), WhichPage),
    responses(
        (status = 200, description = "A page of events.", body = Page<EventBody>),
        (status = 404, description = "`not_found`"),
        (status = 406, description = "`not_acceptable`: a live stream, or another form than JSON"),
    )
)]
pub(in crate::api) async fn events(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    PathId(id): PathId,
    headers: HeaderMap,
    Query(wanted): Query<WhichPage>,
) -> Result<impl IntoResponse, Problem> {
    accepts_json(&headers)?;
    let limit = page::limit(wanted.limit)?;
    let list = format!("events/{id}");
    let after = page::after(&list, wanted.cursor.as_deref())?.unwrap_or_default();
    let rows = state.store.events_of(&caller.reach, id, after, page::fetched(limit)).await?;
    let mut rows = rows.ok_or_else(unknown)?;
    let next_cursor = page::cut(&list, &mut rows, limit, |row| row.event_no);
    let items = rows.into_iter().map(EventBody::from).collect();
    Ok(([(header::VARY, "Accept")], Json(Page { items, next_cursor })))
}

/// Who takes a live stream alone is told that there is none yet.
fn accepts_json(headers: &HeaderMap) -> Result<(), Problem> {
    if negotiate::best(headers, JSON).is_some() {
        return Ok(());
    }
    if negotiate::best(headers, &["text/event-stream"]).is_none() {
        return Err(negotiate::not_acceptable(JSON));
    }
    let detail = "live streams are not supported by this version; accept application/json";
    Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail))
}
