//! `POST /orgs/{org}/stop` and `/resume`: the operator's emergency stop.

use axum::Json;
use axum::extract::{FromRequest as _, Request, State};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::body::OrgBody;
use super::{known, read, unknown};
use crate::api::auth::Authorized;
use crate::api::extract::{NoQuery, PathText};
use crate::api::key_id::KeyId;
use crate::api::problem::Problem;
use crate::api::request_id::RequestId;
use crate::api::state::ApiState;
use crate::api::why::{self, Why, WhyBody};
use crate::domain::keys::Reach;
use crate::store::Urgency;
use crate::store::keys::By;

/// An org after it was stopped.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct StoppedOrg {
    #[serde(flatten)]
    org: OrgBody,
    /// No submit leaves after this time, until the org is resumed.
    quiet_at: Timestamp,
}

/// Stop an org.
///
/// Once this is answered, nothing new starts for it: no conversation is checked for the first time, and none is
/// submitted. Calls of earlier intents leave no later than `quietAt`. Upstream jobs that run are followed to their end. Stopping again is not an error: the new reason replaces the old one.
#[utoipa::path(
    post, path = "/orgs/{org}/stop", tag = "orgs",
    params(("org" = String, Path, description = "The org.")),
    request_body(content = Option<WhyBody>, description = "May be left out, or null."),
    responses(
        (status = 200, description = "It is stopped.", body = StoppedOrg),
        (status = 400, description = "`invalid_json`, `invalid_query`, `broken_body`"),
        (status = 404, description = "`not_found`"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`invalid_request`"),
    )
)]
pub(in crate::api) async fn stop_org(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    KeyId(key_id): KeyId,
    RequestId(request_id): RequestId,
    PathText(org): PathText,
    _: NoQuery,
    request: Request,
) -> Result<Json<StoppedOrg>, Problem> {
    let terms = known(&state, &caller.reach, &org)?;
    let Why(reason) = Why::from_request(request, &state).await?;
    let by = By { key_id, name: &caller.name, request_id: &request_id, reason: reason.as_deref() };
    let quiet_at = stop(&state, &caller.reach, by, &org).await?;
    Ok(Json(StoppedOrg { org: read(&state, &caller.reach, terms, Urgency::Protecting).await?, quiet_at }))
}

/// Stops a configured org; when the last call has left.
pub(crate) async fn stop(
    state: &ApiState,
    reach: &Reach,
    by: By<'_>,
    org: &str,
) -> Result<Timestamp, Problem> {
    known(state, reach, org)?;
    why::check(by.reason)?;
    let quiet_at = state.store.stop_org(reach, org, by).await?.ok_or_else(unknown)?;
    tracing::warn!(org, by = by.name, reason = by.reason, "the org is stopped; nothing is begun for it");
    Ok(quiet_at)
}

/// Lets a configured org go on.
pub(crate) async fn resume(state: &ApiState, reach: &Reach, by: By<'_>, org: &str) -> Result<(), Problem> {
    known(state, reach, org)?;
    why::check(by.reason)?;
    if !state.store.resume_org(reach, org, by).await? {
        return Err(unknown());
    }
    tracing::info!(org, by = by.name, reason = by.reason, "the org goes on");
    Ok(())
}

/// Resume a stopped org.
///
/// If the org is not stopped, that is not an error. A block for too many conflicts (`too_many_conflicts`) is lifted
/// too.
#[utoipa::path(
    post, path = "/orgs/{org}/resume", tag = "orgs",
    params(("org" = String, Path, description = "The org.")),
    request_body(content = Option<WhyBody>, description = "May be left out, or null."),
    responses(
        (status = 200, description = "It goes on.", body = OrgBody),
        (status = 400, description = "`invalid_json`, `invalid_query`, `broken_body`"),
        (status = 404, description = "`not_found`"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`invalid_request`"),
    )
)]
pub(in crate::api) async fn resume_org(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    KeyId(key_id): KeyId,
    RequestId(request_id): RequestId,
    PathText(org): PathText,
    _: NoQuery,
    Why(reason): Why,
) -> Result<Json<OrgBody>, Problem> {
    let terms = known(&state, &caller.reach, &org)?;
    let by = By { key_id, name: &caller.name, request_id: &request_id, reason: reason.as_deref() };
    resume(&state, &caller.reach, by, &org).await?;
    read(&state, &caller.reach, terms, Urgency::Protecting).await.map(Json)
}
