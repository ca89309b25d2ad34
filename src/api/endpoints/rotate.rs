//! `POST /webhook-endpoints/{id}/rotate-secret`.

use axum::Json;
use axum::extract::{Request, State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{EndpointWithSecret, Signing};
use super::{fields, unknown};
use crate::api::auth::Authorized;
use crate::api::extract::{JsonBody, NoQuery, PathId};
use crate::api::key_id::KeyId;
use crate::api::problem::Problem;
use crate::api::request_id::RequestId;
use crate::api::state::ApiState;
use crate::store::endpoints::Changed;
use crate::store::keys::By;

/// Which secret; the body may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct SecretRotation {
    /// How it signs; left out: `hmac`.
    signing: Option<Signing>,
    /// Your own secret; left out: one is made.
    secret: Option<String>,
}

/// Replace the secret of a webhook endpoint.
///
/// The answer shows it once. For 24 hours every webhook is also signed with the old secret.
#[utoipa::path(
    post, path = "/webhook-endpoints/{id}/rotate-secret", tag = "webhooks",
    params(("id" = uuid::Uuid, Path, description = "The endpoint.")),
    request_body(content = Option<SecretRotation>, description = "May be left out, or null."),
    responses(
        (status = 200, description = "The endpoint with its new secret.", body = EndpointWithSecret),
        (status = 400, description = "`invalid_json`, `invalid_query`, `broken_body`"),
        (status = 404, description = "`not_found`: also if the key does not reach all of its orgs"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`invalid_request`"),
    )
)]
pub(in crate::api) async fn rotate_webhook_secret(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    KeyId(key_id): KeyId,
    RequestId(request_id): RequestId,
    PathId(id): PathId,
    _: NoQuery,
    request: Request,
) -> Result<Json<EndpointWithSecret>, Problem> {
    let body = JsonBody::<SecretRotation>::if_any(request, &state).await?.unwrap_or_default();
    let mut errors = Vec::new();
    let secret = fields::check_secret(&mut errors, body.secret, body.signing, &state);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let by = By { key_id, name: &caller.name, request_id: &request_id, reason: None };
    let changed = state.store.change_endpoint(&caller.reach, id, &Changed::Secret(secret), by).await?;
    Ok(Json(changed.ok_or_else(unknown)?.into()))
}
