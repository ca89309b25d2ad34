//! `POST /webhook-deliveries/{id}/redeliver`, and `/redeliver` for all dead ones created since a time.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::DeliveryBody;
use super::{since, unknown};
use crate::api::auth::Authorized;
use crate::api::extract::{JsonBody, NoBody, NoQuery, PathId};
use crate::api::key_id::KeyId;
use crate::api::page;
use crate::api::problem::Problem;
use crate::api::request_id::RequestId;
use crate::api::state::ApiState;
use crate::domain::keys::Reach;
use crate::domain::state::DeliveryState;
use crate::store::deliveries::read::DeliveryRow;
use crate::store::keys::By;

/// The list of redelivered events, to which a cursor belongs.
const LIST: &str = "redeliver";

/// Which deliveries to redeliver.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct RedeliverOrder {
    /// Those from this time or later.
    since: Timestamp,
    /// Those that were given up.
    state: Redeliverable,
    /// The `nextCursor` of the previous answer, with the same body.
    cursor: Option<String>,
}

/// How many deliveries are redelivered without being named.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum Redeliverable {
    Dead,
}

/// How many deliveries are redelivered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct RedeliveredBody {
    redelivered: u64,
    /// Continue with this `cursor` and the same body; null at the end.
    next_cursor: Option<String>,
}

/// Redeliver a webhook.
///
/// It is sent now, with the same `webhook-id`, and its schedule starts again, whether it was dead, delivered or
/// pending. If an attempt is under way, no second one starts; if that attempt fails, the delivery is sent again at
/// once.
#[utoipa::path(
    post, path = "/webhook-deliveries/{id}/redeliver", tag = "webhooks",
    params(("id" = uuid::Uuid, Path, description = "The delivery.")),
    responses(
        (status = 202, description = "It is due.", body = DeliveryBody),
        (status = 404, description = "`not_found`"),
    )
)]
pub(in crate::api) async fn redeliver(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    KeyId(key_id): KeyId,
    RequestId(request_id): RequestId,
    PathId(id): PathId,
    _: NoQuery,
    _: NoBody,
) -> Result<(StatusCode, Json<DeliveryBody>), Problem> {
    let by = By { key_id, name: &caller.name, request_id: &request_id, reason: None };
    let delivery = again(&state, &caller.reach, by, id).await?;
    Ok((StatusCode::ACCEPTED, Json(delivery.into())))
}

/// Has it sent now.
pub(crate) async fn again(
    state: &ApiState,
    reach: &Reach,
    by: By<'_>,
    id: Uuid,
) -> Result<DeliveryRow, Problem> {
    let redelivered = state.store.redeliver(reach, id, by).await?.ok_or_else(unknown)?;
    let was = redelivered.was;
    tracing::info!(delivery = %id, %was, by = by.name, "a webhook is sent again");
    state.metrics.meters().webhooks_redelivered(was, 1);
    Ok(redelivered.delivery)
}

/// Redeliver every webhook that was given up since a time.
///
/// Each is sent now, with the same `webhook-id`, and its schedule starts again. One request redelivers at most 10,000,
/// the oldest first; `nextCursor` continues. It skips those that were given up again in the meantime.
#[utoipa::path(
    post, path = "/webhook-deliveries/redeliver", tag = "webhooks",
    request_body = RedeliverOrder,
    responses(
        (status = 202, description = "They are due.", body = RedeliveredBody),
        (status = 400, description = "`invalid_json`, `invalid_query`, `broken_body`"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`invalid_request`"),
    )
)]
pub(in crate::api) async fn redeliver_dead(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    KeyId(key_id): KeyId,
    RequestId(request_id): RequestId,
    _: NoQuery,
    request: Request,
) -> Result<(StatusCode, Json<RedeliveredBody>), Problem> {
    let RedeliverOrder { since: from, state: Redeliverable::Dead, cursor } =
        JsonBody::small(request, &state).await?;
    let list = page::list(LIST, &from);
    let after = page::after(&list, cursor.as_deref())
        .map_err(|_| Problem::invalid_field("/cursor", "is not a nextCursor of this order"))?;
    let by = By { key_id, name: &caller.name, request_id: &request_id, reason: None };
    let done = state.store.redeliver_dead(&caller.reach, since(from), after, by).await?;
    let (redelivered, next) = done;
    tracing::info!(redelivered, since = %from, by = caller.name, "dead webhooks are sent again");
    state.metrics.meters().webhooks_redelivered(DeliveryState::Dead, redelivered);
    let next_cursor = next.and_then(|next| page::cursor(&list, next));
    Ok((StatusCode::ACCEPTED, Json(RedeliveredBody { redelivered, next_cursor })))
}
