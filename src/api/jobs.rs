//! `GET /jobs/{id}`: one whole job, by our id or by Genesys'.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Authorized;
use super::extract::{NoQuery, PathText};
use super::problem::Problem;
use super::purges::jobs::Job;
use super::state::ApiState;
use crate::store::views::job::{FoundJob, WholeJob};

/// One job as a whole.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WholeJob)]
pub(super) struct WholeJobBody {
    #[serde(flatten)]
    job: Job,
    org: String,
    /// The purges whose conversations it carries.
    purges: Vec<Share>,
}

/// What a job carries of one purge.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobShare)]
struct Share {
    /// The purge.
    id: Uuid,
    /// How many of its conversations the job carries.
    conversations: i64,
}

impl From<WholeJob> for WholeJobBody {
    fn from(whole: WholeJob) -> Self {
        let share = |(id, conversations)| Share { id, conversations };
        Self { job: whole.job.into(), org: whole.org, purges: whole.purges.into_iter().map(share).collect() }
    }
}

/// Read a job.
///
/// If an id is our id of one job and Genesys' id of another, ours is used.
#[utoipa::path(
    get, path = "/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, description = "Our id of the job, or Genesys' `jobId`, percent-encoded if needed.")),
    responses(
        (status = 200, description = "The job.", body = WholeJobBody),
        (status = 404, description = "`not_found`"),
        (status = 409, description = "`ambiguous_job_id`: jobs of several orgs have this `jobId`"),
    )
)]
pub(super) async fn job(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    PathText(id): PathText,
    _: NoQuery,
) -> Result<Json<WholeJobBody>, Problem> {
    match state.store.job(&caller.reach, &id).await? {
        FoundJob::One(whole) => Ok(Json((*whole).into())),
        FoundJob::Nothing => Err(Problem::not_found("job")),
        FoundJob::Ambiguous => {
            let detail =
                "jobs of several orgs have this jobId; ask by our id, which GET /purges/{id}/jobs shows";
            Err(Problem::new(StatusCode::CONFLICT, "ambiguous_job_id", detail))
        }
    }
}
