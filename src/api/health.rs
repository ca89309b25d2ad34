//! Whether this process lives, and whether it can do its work.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::state::ApiState;
use crate::store::StoreError;

/// All is well; otherwise the status is another.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`.
    status: &'static str,
}

/// Whether the process lives.
#[utoipa::path(
    get, path = "/health/live", tag = "operations", security(()),
    responses((status = 200, description = "It does.", body = Health))
)]
pub(super) async fn live() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether the process can do its work.
///
/// It is ready when the database answers, accepts writes, and has the schema of this version, or a newer one on which
/// this version may work.
#[utoipa::path(
    get, path = "/health/ready", tag = "operations", security(()),
    responses(
        (status = 200, description = "It can.", body = Health),
        (status = 503, description = "`not_ready`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn ready(State(state): State<ApiState>) -> Result<Json<Health>, Problem> {
    match state.store.check_ready().await {
        Ok(_) => Ok(Json(Health { status: "ok" })),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            let detail = match error {
                StoreError::Schema { .. }
                | StoreError::Outgrown { .. }
                | StoreError::ReadOnly
                | StoreError::Silent => error.to_string(),
                _ => "the database can't be reached".to_owned(),
            };
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail))
        }
    }
}
