//! `DELETE /webhook-endpoints/{id}`.

use axum::extract::State;
use axum::http::StatusCode;

use super::unknown;
use crate::api::auth::Authorized;
use crate::api::extract::{NoBody, NoQuery, PathId};
use crate::api::key_id::KeyId;
use crate::api::problem::Problem;
use crate::api::request_id::RequestId;
use crate::api::state::ApiState;
use crate::store::endpoints::Changed;
use crate::store::keys::By;

/// Delete a webhook endpoint.
///
/// Deliveries that wait for it are given up; they stay on record.
#[utoipa::path(
    delete, path = "/webhook-endpoints/{id}", tag = "webhooks",
    params(("id" = uuid::Uuid, Path, description = "The endpoint.")),
    responses(
        (status = 204, description = "Deleted."),
        (status = 404, description = "`not_found`: also if the key does not reach all of its orgs"),
    )
)]
pub(in crate::api) async fn delete_webhook_endpoint(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    KeyId(key_id): KeyId,
    RequestId(request_id): RequestId,
    PathId(id): PathId,
    _: NoQuery,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    let by = By { key_id, name: &caller.name, request_id: &request_id, reason: None };
    let deleted = state.store.change_endpoint(&caller.reach, id, &Changed::Deleted, by).await?;
    deleted.map(|_| StatusCode::NO_CONTENT).ok_or_else(unknown)
}
