//! `GET /webhook-deliveries/{id}`: one delivery, with its attempts.

use axum::Json;
use axum::extract::State;

use super::body::{AttemptBody, WholeDelivery};
use super::unknown;
use crate::api::auth::Authorized;
use crate::api::extract::{NoQuery, PathId};
use crate::api::problem::Problem;
use crate::api::state::ApiState;

/// Read a webhook delivery, what it sends, and its attempts.
///
/// Attempts from before the upgrade to this version were counted, but not logged.
#[utoipa::path(
    get, path = "/webhook-deliveries/{id}", tag = "webhooks",
    params(("id" = uuid::Uuid, Path, description = "The delivery.")),
    responses(
        (status = 200, description = "The delivery.", body = WholeDelivery),
        (status = 404, description = "`not_found`"),
    )
)]
pub(in crate::api) async fn get_webhook_delivery(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    PathId(id): PathId,
    _: NoQuery,
) -> Result<Json<WholeDelivery>, Problem> {
    let (mut delivery, attempts) = state.store.delivery(&caller.reach, id).await?.ok_or_else(unknown)?;
    let payload = std::mem::take(&mut delivery.payload);
    let attempts = attempts.into_iter().map(AttemptBody::from).collect();
    Ok(Json(WholeDelivery { delivery: delivery.into(), payload, attempts }))
}
