//! `GET /purges/{id}/jobs`: the jobs that carry some of its conversations.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::unknown;
use crate::api::auth::Authorized;
use crate::api::extract::{PathId, Query};
use crate::api::page::{self, Page, WhichPage};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::domain::events::latency;
use crate::domain::state::{JobResult, JobState};
use crate::store::views::jobs::JobRow;

/// One job, as seen from a purge or as a whole.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the contract names the fields")]
pub(in crate::api) struct Job {
    /// Our id of it.
    id: Uuid,
    state: JobState,
    result: Option<JobResult>,
    /// Genesys' id of it.
    job_id: Option<String>,
    /// The same.
    upstream_job_id: Option<String>,
    upstream_state: Option<String>,
    /// How many conversations it carries: of that purge in the list of a purge, otherwise of all purges.
    conversations: i64,
    records_processed: Option<i64>,
    /// Submits so far.
    attempt: i32,
    submitted_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    /// From the submit to the poll that found it ended.
    latency_seconds: Option<f64>,
    #[schema(value_type = Option<std::collections::BTreeMap<String, serde_json::Value>>)]
    last_error: Option<serde_json::Value>,
}

impl From<JobRow> for Job {
    fn from(row: JobRow) -> Self {
        Self {
            id: row.id,
            state: row.state,
            result: row.result,
            job_id: row.upstream_job_id.clone(),
            upstream_job_id: row.upstream_job_id,
            upstream_state: row.upstream_state,
            conversations: row.conversations,
            records_processed: row.records_processed,
            attempt: row.attempt,
            submitted_at: row.submitted_at,
            finished_at: row.finished_at,
            latency_seconds: row.latency_seconds.map(latency),
            last_error: row.last_error,
        }
    }
}

/// List the jobs of a purge, oldest first.
#[utoipa::path(
    get, path = "/purges/{id}/jobs", tag = "purges",
    params(("id" = uuid::Uuid, Path, description = "The purge."), WhichPage),
    responses(
        (status = 200, description = "A page of jobs.", body = Page<Job>),
        (status = 404, description = "`not_found`"),
    )
)]
pub(in crate::api) async fn jobs(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    PathId(id): PathId,
    Query(wanted): Query<WhichPage>,
) -> Result<Json<Page<Job>>, Problem> {
    let limit = page::limit(wanted.limit);
    let list = format!("jobs/{id}");
    let after = page::after(&list, wanted.cursor.as_deref())?;
    let rows = state.store.jobs_of(&caller.reach, id, after, page::fetched(limit)).await?;
    let mut rows = rows.ok_or_else(unknown)?;
    let next_cursor = page::cut(&list, &mut rows, limit, |row| row.id);
    Ok(Json(Page { items: rows.into_iter().map(Job::from).collect(), next_cursor }))
}
