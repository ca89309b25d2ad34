//! `POST /orgs/{org}/stop` and `/resume`: the operator's emergency brake.

use axum::Json;
use axum::extract::{Path, Request, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::auth::Authorized;
use crate::api::checks::check_text;
use crate::api::extract::{JsonBody, NoQuery};
use crate::api::problem::Problem;
use crate::api::request_id::RequestId;
use crate::domain::keys::Caller;
use crate::store::orgs::stop::Stop;

const LONGEST_REASON: usize = 1000;

/// Why an org is stopped; the body may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct StopOrder {
    /// Why, for the record and for whoever waits.
    #[schema(max_length = 1000)]
    reason: Option<String>,
}

/// Who stopped an org, when and why.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct StopBody {
    /// The name of the key.
    by: String,
    reason: Option<String>,
    since: Timestamp,
}

impl From<Stop> for StopBody {
    fn from(stop: Stop) -> Self {
        Self { by: stop.by, reason: stop.reason, since: stop.since }
    }
}

/// An org after it was stopped.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct StoppedOrg {
    name: String,
    stopped: StopBody,
    /// No submit leaves after this moment, until the org goes on.
    quiet_at: Timestamp,
}

/// An org that goes on.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ResumedOrg {
    name: String,
    /// Always null.
    #[schema(value_type = Option<StopBody>)]
    stopped: Option<StopBody>,
}

/// Stop an org.
///
/// From the answer on nothing is begun for it: no conversation is asked about first, none is submitted. Calls of earlier
/// intents leave no later than `quietAt`. What runs upstream is followed to its end. Stopping again is no error.
#[utoipa::path(
    post, path = "/orgs/{org}/stop", tag = "orgs",
    params(("org" = String, Path, description = "The org.")),
    request_body(content = Option<StopOrder>, description = "May be left out."),
    responses(
        (status = 200, description = "It is stopped.", body = StoppedOrg),
        (status = 400, description = "`invalid_json`, `broken_body`", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "`no_key`", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`missing_scope`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported_media_type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_request`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn stop_org(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    RequestId(request_id): RequestId,
    Path(org): Path<String>,
    _: NoQuery,
    request: Request,
) -> Result<Json<StoppedOrg>, Problem> {
    known(&state, &caller, &org)?;
    let order = JsonBody::<StopOrder>::if_any(request, &state).await?.unwrap_or_default();
    let mut errors = Vec::new();
    check_text(&mut errors, "/reason", order.reason.as_deref(), LONGEST_REASON);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let stopped = state.store.stop_org(&org, &caller.name, order.reason.as_deref(), &request_id).await?;
    tracing::warn!(
        org,
        by = caller.name,
        reason = order.reason,
        "the org is stopped; nothing is begun for it"
    );
    Ok(Json(StoppedOrg { name: org, stopped: stopped.stop.into(), quiet_at: stopped.quiet_at }))
}

/// Let a stopped org go on.
///
/// An org that is not stopped goes on anyway: that is no error.
#[utoipa::path(
    post, path = "/orgs/{org}/resume", tag = "orgs",
    params(("org" = String, Path, description = "The org.")),
    responses(
        (status = 200, description = "It goes on.", body = ResumedOrg),
        (status = 401, description = "`no_key`", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`missing_scope`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn resume_org(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    RequestId(request_id): RequestId,
    Path(org): Path<String>,
    _: NoQuery,
) -> Result<Json<ResumedOrg>, Problem> {
    known(&state, &caller, &org)?;
    state.store.resume_org(&org, &caller.name, &request_id).await?;
    tracing::info!(org, by = caller.name, "the org goes on");
    Ok(Json(ResumedOrg { name: org, stopped: None }))
}

/// The org is configured, and the key reaches it.
fn known(state: &ApiState, caller: &Caller, org: &str) -> Result<(), Problem> {
    let is_known = state.orgs.iter().any(|known| known == org) && caller.reaches(org);
    if is_known { Ok(()) } else { Err(Problem::not_found("org")) }
}
