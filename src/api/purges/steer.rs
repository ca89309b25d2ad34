//! `POST /purges/{id}/cancel`, `/pause`, `/resume`, `/retry`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::PurgeBody;
use super::unknown;
use crate::api::auth::Authorized;
use crate::api::extract::{NoQuery, PathId};
use crate::api::key_id::KeyId;
use crate::api::problem::Problem;
use crate::api::request_id::RequestId;
use crate::api::state::ApiState;
use crate::api::why::{self, Why, WhyBody};
use crate::domain::act::Act;
use crate::domain::keys::Reach;
use crate::domain::state::PurgeState;
use crate::store::keys::By;
use crate::store::purges::load::Purge;
use crate::store::purges::steer::Steered;

/// A purge that was paused or canceled.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct QuietPurge {
    #[serde(flatten)]
    purge: PurgeBody,
    /// No submit with one of its conversations leaves after this time, until the purge is resumed.
    quiet_at: Timestamp,
}

/// Cancel a purge.
///
/// Conversations that were not submitted end `canceled`; live jobs run to their end and count. The purge is
/// `canceling` until then, and ends `canceled` whatever the jobs did. Canceling again is not an error.
#[utoipa::path(
    post, path = "/purges/{id}/cancel", tag = "purges",
    params(("id" = uuid::Uuid, Path, description = "The purge.")),
    request_body(content = Option<WhyBody>, description = "May be left out, or null."),
    responses(
        (status = 200, description = "It is being canceled.", body = QuietPurge),
        (status = 400, description = "`invalid_json`, `invalid_query`, `broken_body`"),
        (status = 404, description = "`not_found`"),
        (status = 409, description = "`wrong_state`: it is final"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`invalid_request`"),
    )
)]
pub(in crate::api) async fn cancel_purge(
    state: State<ApiState>,
    caller: Authorized,
    key: KeyId,
    request_id: RequestId,
    id: PathId,
    _: NoQuery,
    why: Why,
) -> Result<Json<QuietPurge>, Problem> {
    steer(state, caller, key, request_id, id, Act::Cancel, why).await
}

/// Pause a purge.
///
/// Once this is answered, nothing of it is checked or submitted; live jobs run to their end, which may end the purge.
#[utoipa::path(
    post, path = "/purges/{id}/pause", tag = "purges",
    params(("id" = uuid::Uuid, Path, description = "The purge.")),
    request_body(content = Option<WhyBody>, description = "May be left out, or null."),
    responses(
        (status = 200, description = "It is paused.", body = QuietPurge),
        (status = 400, description = "`invalid_json`, `invalid_query`, `broken_body`"),
        (status = 404, description = "`not_found`"),
        (status = 409, description = "`wrong_state`: it is neither queued nor running"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`invalid_request`"),
    )
)]
pub(in crate::api) async fn pause_purge(
    state: State<ApiState>,
    caller: Authorized,
    key: KeyId,
    request_id: RequestId,
    id: PathId,
    _: NoQuery,
    why: Why,
) -> Result<Json<QuietPurge>, Problem> {
    steer(state, caller, key, request_id, id, Act::Pause, why).await
}

/// Resume a paused purge.
#[utoipa::path(
    post, path = "/purges/{id}/resume", tag = "purges",
    params(("id" = uuid::Uuid, Path, description = "The purge.")),
    request_body(content = Option<WhyBody>, description = "May be left out, or null."),
    responses(
        (status = 200, description = "It goes on.", body = PurgeBody),
        (status = 400, description = "`invalid_json`, `invalid_query`, `broken_body`"),
        (status = 404, description = "`not_found`"),
        (status = 409, description = "`wrong_state`: it is not paused"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`invalid_request`"),
    )
)]
pub(in crate::api) async fn resume_purge(
    state: State<ApiState>,
    caller: Authorized,
    key: KeyId,
    request_id: RequestId,
    id: PathId,
    _: NoQuery,
    why: Why,
) -> Result<Json<PurgeBody>, Problem> {
    steer(state, caller, key, request_id, id, Act::Resume, why).await.map(|Json(done)| Json(done.purge))
}

/// Retry a failed purge.
///
/// Its `failed` conversations are tried again, and `run` goes up by one. The end of the new run sends its own webhooks.
#[utoipa::path(
    post, path = "/purges/{id}/retry", tag = "purges",
    params(("id" = uuid::Uuid, Path, description = "The purge.")),
    request_body(content = Option<WhyBody>, description = "May be left out, or null."),
    responses(
        (status = 200, description = "It runs again.", body = PurgeBody),
        (status = 400, description = "`invalid_json`, `invalid_query`, `broken_body`"),
        (status = 404, description = "`not_found`"),
        (status = 409, description = "`wrong_state`: it has not failed"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`invalid_request`"),
    )
)]
pub(in crate::api) async fn retry_purge(
    state: State<ApiState>,
    caller: Authorized,
    key: KeyId,
    request_id: RequestId,
    id: PathId,
    _: NoQuery,
    why: Why,
) -> Result<Json<PurgeBody>, Problem> {
    steer(state, caller, key, request_id, id, Act::Retry, why).await.map(|Json(done)| Json(done.purge))
}

async fn steer(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    KeyId(key_id): KeyId,
    RequestId(request_id): RequestId,
    PathId(id): PathId,
    act: Act,
    Why(reason): Why,
) -> Result<Json<QuietPurge>, Problem> {
    let by = By { key_id, name: &caller.name, request_id: &request_id, reason: reason.as_deref() };
    let (purge, quiet_at) = steered(&state, &caller.reach, by, id, act).await?;
    Ok(Json(QuietPurge { purge: PurgeBody::from(purge), quiet_at }))
}

/// Does it; the purge after it, and when the last call of an earlier intent has left.
pub(crate) async fn steered(
    state: &ApiState,
    reach: &Reach,
    by: By<'_>,
    id: Uuid,
    act: Act,
) -> Result<(Purge, Timestamp), Problem> {
    why::check(by.reason)?;
    match state.store.steer_purge(reach, id, act, by).await?.ok_or_else(unknown)? {
        Steered::Done { quiet_at, purge } => {
            tracing::info!(purge = %id, act = act.as_str(), by = by.name, reason = by.reason, "steered a purge");
            Ok((*purge, quiet_at))
        }
        Steered::Forbidden(found) => {
            let allowed: Vec<&str> = act.allowed_in().map(PurgeState::as_str).collect();
            let detail =
                format!("the purge is {found}; {act} is only possible if it is {}", allowed.join(", "));
            Err(Problem::new(StatusCode::CONFLICT, "wrong_state", detail))
        }
    }
}
