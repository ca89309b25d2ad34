//! `GET /holds/{id}`.

use axum::Json;
use axum::extract::State;

use super::body::HoldWithLate;
use super::unknown;
use crate::api::auth::Authorized;
use crate::api::extract::{NoQuery, PathId};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::store::Urgency;

/// Read a legal hold.
#[utoipa::path(
    get, path = "/holds/{id}", tag = "holds",
    params(("id" = uuid::Uuid, Path, description = "The hold.")),
    responses(
        (status = 200, description = "The hold.", body = HoldWithLate),
        (status = 404, description = "`not_found`"),
    )
)]
pub(in crate::api) async fn get_hold(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    PathId(id): PathId,
    _: NoQuery,
) -> Result<Json<HoldWithLate>, Problem> {
    let hold = state.store.hold(&caller.reach, id, Urgency::Ordinary).await?.ok_or_else(unknown)?;
    let too_late = state.store.too_late_for(&caller.reach, hold.id).await?;
    Ok(Json(HoldWithLate { hold: hold.into(), too_late }))
}
