//! `GET /holds/{id}`.

use axum::Json;
use axum::extract::State;

use super::body::HoldBody;
use super::unknown;
use crate::api::auth::Authorized;
use crate::api::extract::{NoQuery, PathId};
use crate::api::problem::Problem;
use crate::api::state::ApiState;

/// Read a legal hold.
#[utoipa::path(
    get, path = "/holds/{id}", tag = "holds",
    params(("id" = uuid::Uuid, Path, description = "The hold.")),
    responses(
        (status = 200, description = "The hold.", body = HoldBody),
        (status = 404, description = "`not_found`"),
    )
)]
pub(in crate::api) async fn get_hold(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    PathId(id): PathId,
    _: NoQuery,
) -> Result<Json<HoldBody>, Problem> {
    let hold = state.store.hold(&caller.reach, id).await?;
    hold.map(|hold| Json(hold.into())).ok_or_else(unknown)
}
