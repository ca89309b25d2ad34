//! `POST /orgs/{org}/stop` and `/resume`: the operator's emergency brake.

use axum::Json;
use axum::extract::{Request, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use super::body::OrgBody;
use super::{known, read, unknown};
use crate::api::auth::Authorized;
use crate::api::checks::{check_text, optional_text};
use crate::api::extract::{JsonBody, NoBody, NoQuery, PathText};
use crate::api::key_id::KeyId;
use crate::api::problem::Problem;
use crate::api::request_id::RequestId;
use crate::api::state::ApiState;
use crate::domain::keys::Reach;
use crate::store::Urgency;
use crate::store::keys::By;

const LONGEST_REASON: usize = 1000;

/// Why an org is stopped; the body may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct StopOrder {
    /// Why, for the record and for those who wait.
    #[schema(schema_with = reason)]
    reason: Option<String>,
}

fn reason() -> Object {
    optional_text(LONGEST_REASON, "Why, for the record and for those who wait.").build()
}

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
    request_body(content = Option<StopOrder>, description = "May be left out, or null."),
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
    let order = JsonBody::<StopOrder>::if_any(request, &state).await?.unwrap_or_default();
    let by = By { key_id, name: &caller.name, request_id: &request_id };
    let quiet_at = stop(&state, &caller.reach, by, &org, order.reason.as_deref()).await?;
    Ok(Json(StoppedOrg { org: read(&state, &caller.reach, terms, Urgency::Protecting).await?, quiet_at }))
}

/// Stops a configured org; when the last call has left.
pub(crate) async fn stop(
    state: &ApiState,
    reach: &Reach,
    by: By<'_>,
    org: &str,
    reason: Option<&str>,
) -> Result<Timestamp, Problem> {
    known(state, reach, org)?;
    let mut errors = Vec::new();
    check_text(&mut errors, "/reason", reason, LONGEST_REASON);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let quiet_at = state.store.stop_org(reach, org, by, reason).await?.ok_or_else(unknown)?;
    tracing::warn!(org, by = by.name, reason, "the org is stopped; nothing is begun for it");
    Ok(quiet_at)
}

/// Lets a configured org go on.
pub(crate) async fn resume(state: &ApiState, reach: &Reach, by: By<'_>, org: &str) -> Result<(), Problem> {
    known(state, reach, org)?;
    if !state.store.resume_org(reach, org, by).await? {
        return Err(unknown());
    }
    tracing::info!(org, by = by.name, "the org goes on");
    Ok(())
}

/// Resume a stopped org.
///
/// If the org is not stopped, that is not an error. A block for too many conflicts (`too_many_conflicts`) is lifted
/// too.
#[utoipa::path(
    post, path = "/orgs/{org}/resume", tag = "orgs",
    params(("org" = String, Path, description = "The org.")),
    responses(
        (status = 200, description = "It goes on.", body = OrgBody),
        (status = 404, description = "`not_found`"),
    )
)]
pub(in crate::api) async fn resume_org(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    KeyId(key_id): KeyId,
    RequestId(request_id): RequestId,
    PathText(org): PathText,
    _: NoQuery,
    _: NoBody,
) -> Result<Json<OrgBody>, Problem> {
    let terms = known(&state, &caller.reach, &org)?;
    let by = By { key_id, name: &caller.name, request_id: &request_id };
    resume(&state, &caller.reach, by, &org).await?;
    read(&state, &caller.reach, terms, Urgency::Protecting).await.map(Json)
}
