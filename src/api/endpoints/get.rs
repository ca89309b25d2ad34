//! `GET /webhook-endpoints/{id}`.

use axum::Json;
use axum::extract::State;

use super::body::EndpointBody;
use super::unknown;
use crate::api::auth::Authorized;
use crate::api::extract::{NoQuery, PathId};
use crate::api::problem::Problem;
use crate::api::state::ApiState;

/// Read a webhook endpoint.
#[utoipa::path(
    get, path = "/webhook-endpoints/{id}", tag = "webhooks",
    params(("id" = uuid::Uuid, Path, description = "The endpoint.")),
    responses(
        (status = 200, description = "The endpoint.", body = EndpointBody),
        (status = 404, description = "`not_found`: also if the key does not reach all of its orgs"),
    )
)]
pub(in crate::api) async fn get_webhook_endpoint(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    PathId(id): PathId,
    _: NoQuery,
) -> Result<Json<EndpointBody>, Problem> {
    let endpoint = state.store.endpoint(&caller.reach, id).await?.ok_or_else(unknown)?;
    Ok(Json(endpoint.into()))
}
