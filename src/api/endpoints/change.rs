//! `PATCH /webhook-endpoints/{id}`: fields that are sent change, fields that are left out stay.

use axum::Json;
use axum::extract::{Request, State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::EndpointBody;
use super::{fields, unknown};
use crate::api::auth::Authorized;
use crate::api::extract::{JsonBody, NoQuery, PathId};
use crate::api::key_id::KeyId;
use crate::api::problem::Problem;
use crate::api::request_id::RequestId;
use crate::api::state::ApiState;
use crate::domain::endpoints::Told;
use crate::store::endpoints::{Change, Changed, Wish};
use crate::store::keys::By;

/// What to change.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = WebhookEndpointChange)]
pub(in crate::api) struct EndpointChange {
    #[schema(schema_with = fields::url, required = false)]
    url: Option<String>,
    #[serde(default)]
    #[schema(schema_with = fields::description)]
    description: Wish<String>,
    /// The events that it gets; null: all of them.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Told>>, min_items = 1)]
    events: Wish<Vec<Told>>,
    /// The orgs whose events it gets; null: all that the key reaches.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, min_items = 1)]
    orgs: Wish<Vec<String>>,
    /// False: deliveries that wait for it are given up, and it gets no more events.
    enabled: Option<bool>,
}

/// Change a webhook endpoint.
///
/// Fields that are left out do not change. An endpoint that is enabled again, or gets another URL, is tried at once.
/// Deliveries that wait for a disabled endpoint are given up; they can be redelivered.
#[utoipa::path(
    patch, path = "/webhook-endpoints/{id}", tag = "webhooks",
    params(("id" = uuid::Uuid, Path, description = "The endpoint.")),
    request_body(content = Option<EndpointChange>, description = "May be left out, or null to change nothing."),
    responses(
        (status = 200, description = "The endpoint, as it is now.", body = EndpointBody),
        (status = 400, description = "`invalid_json`, `invalid_query`, `broken_body`"),
        (status = 404, description = "`not_found`: also if the key does not reach all of its orgs"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`invalid_request`"),
    )
)]
pub(in crate::api) async fn change_webhook_endpoint(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    KeyId(key_id): KeyId,
    RequestId(request_id): RequestId,
    PathId(id): PathId,
    _: NoQuery,
    request: Request,
) -> Result<Json<EndpointBody>, Problem> {
    let body = JsonBody::<EndpointChange>::if_any(request, &state).await?.unwrap_or_default();
    let mut errors = Vec::new();
    let url = body.url.map(|url| fields::check_url(&mut errors, "/url", &url, &state));
    if let Wish::Set(description) = &body.description {
        fields::check_description(&mut errors, description.as_deref());
    }
    let events = body.events.map(|events| fields::check_events(&mut errors, events));
    let orgs = body.orgs.map(|orgs| fields::check_orgs(&mut errors, orgs, &state, &caller));
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let change = Change { url, description: body.description, events, orgs, enabled: body.enabled };
    let by = By { key_id, name: &caller.name, request_id: &request_id, reason: None };
    let changed = state.store.change_endpoint(&caller.reach, id, &Changed::To(change), by).await?;
    Ok(Json(changed.ok_or_else(unknown)?.into()))
}
