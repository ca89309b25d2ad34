//! `POST /holds/{id}/release`: it no longer protects.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use uuid::Uuid;

use super::body::HoldBody;
use super::unknown;
use crate::api::auth::Authorized;
use crate::api::extract::{NoQuery, PathId};
use crate::api::key_id::KeyId;
use crate::api::problem::Problem;
use crate::api::request_id::RequestId;
use crate::api::state::ApiState;
use crate::api::why::{self, Why, WhyBody};
use crate::domain::keys::Reach;
use crate::store::holds::read::Hold;
use crate::store::holds::release::Released;
use crate::store::keys::By;

/// Release a legal hold.
///
/// Conversations that it had kept in a purge stay `on_hold` there; a new purge may name them.
#[utoipa::path(
    post, path = "/holds/{id}/release", tag = "holds",
    params(("id" = uuid::Uuid, Path, description = "The hold.")),
    request_body(content = Option<WhyBody>, description = "May be left out, or null."),
    responses(
        (status = 200, description = "Released.", body = HoldBody),
        (status = 400, description = "`invalid_json`, `invalid_query`, `broken_body`"),
        (status = 404, description = "`not_found`: also if the key does not reach all orgs of the hold"),
        (status = 409, description = "`already_released`"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`invalid_request`"),
    )
)]
pub(in crate::api) async fn release_hold(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    KeyId(key_id): KeyId,
    RequestId(request_id): RequestId,
    PathId(id): PathId,
    _: NoQuery,
    Why(reason): Why,
) -> Result<Json<HoldBody>, Problem> {
    let by = By { key_id, name: &caller.name, request_id: &request_id, reason: reason.as_deref() };
    released(&state, &caller.reach, by, id).await.map(|hold| Json(hold.into()))
}

/// Releases it.
pub(crate) async fn released(state: &ApiState, reach: &Reach, by: By<'_>, id: Uuid) -> Result<Hold, Problem> {
    why::check(by.reason)?;
    match state.store.release_hold(reach, id, by).await?.ok_or_else(unknown)? {
        Released::Done(hold) => Ok(hold),
        Released::Already(hold) => {
            let at = hold.released_at.map_or_else(String::new, |at| format!(" at {at}"));
            Err(Problem::new(StatusCode::CONFLICT, "already_released", format!("the hold was released{at}")))
        }
    }
}
