//! `POST /webhook-endpoints`: register a receiver.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{EndpointWithSecret, Signing};
use super::fields;
use crate::api::auth::Authorized;
use crate::api::extract::{JsonBody, NoQuery};
use crate::api::key_id::KeyId;
use crate::api::problem::Problem;
use crate::api::request_id::RequestId;
use crate::api::state::ApiState;
use crate::domain::endpoints::{Interest, Told};
use crate::domain::keys::Caller;
use crate::store::endpoints::create::NewEndpoint;
use crate::store::endpoints::{Endpoint, MOST};
use crate::store::keys::By;

/// A receiver to register.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewWebhookEndpoint)]
pub(crate) struct NewEndpointBody {
    #[schema(schema_with = fields::url)]
    pub(crate) url: String,
    #[schema(schema_with = fields::description)]
    pub(crate) description: Option<String>,
    /// The events that it gets; left out: all of them.
    #[schema(min_items = 1)]
    pub(crate) events: Option<Vec<Told>>,
    /// The orgs whose events it gets; left out: all that the key reaches.
    #[schema(min_items = 1)]
    pub(crate) orgs: Option<Vec<String>>,
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub(crate) enabled: bool,
    /// How it signs; left out: `hmac`.
    pub(crate) signing: Option<Signing>,
    /// Your own secret: `whsec_` and 24 to 64 bytes in base64, or `whsk_` and a private key. Left out: one is made.
    pub(crate) secret: Option<String>,
}

const fn yes() -> bool {
    true
}

/// Register a webhook endpoint.
///
/// The answer shows its secret once. It gets every event from then on, signed as in the Standard Webhooks
/// specification.
#[utoipa::path(
    post, path = "/webhook-endpoints", tag = "webhooks",
    request_body = NewEndpointBody,
    responses(
        (status = 201, description = "Registered.", body = EndpointWithSecret, headers(("Location" = String, description = "Where to read it."))),
        (status = 400, description = "`invalid_json`, `invalid_query`, `broken_body`"),
        (status = 409, description = "`too_many_endpoints`: delete one that is no longer needed"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`invalid_request`"),
    )
)]
pub(in crate::api) async fn create_webhook_endpoint(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    KeyId(key_id): KeyId,
    RequestId(request_id): RequestId,
    _: NoQuery,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    let body = JsonBody::small(request, &state).await?;
    let by = By { key_id, name: &caller.name, request_id: &request_id, reason: None };
    let endpoint = register(&state, &caller, by, body).await?;
    let location = [(header::LOCATION, format!("/webhook-endpoints/{}", endpoint.id))];
    Ok((StatusCode::CREATED, location, Json(EndpointWithSecret::from(endpoint))))
}

/// Checks everything, and registers it.
pub(crate) async fn register(
    state: &ApiState,
    caller: &Caller,
    by: By<'_>,
    body: NewEndpointBody,
) -> Result<Endpoint, Problem> {
    let mut errors = Vec::new();
    let url = fields::check_url(&mut errors, "/url", &body.url, state);
    fields::check_description(&mut errors, body.description.as_deref());
    let events = fields::check_events(&mut errors, body.events);
    let orgs = fields::check_orgs(&mut errors, body.orgs, state, caller);
    let secret = fields::check_secret(&mut errors, body.secret, body.signing, state);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let interest = Interest { events, orgs };
    let new = NewEndpoint { url, description: body.description, interest, enabled: body.enabled, secret };
    let Some(endpoint) = state.store.create_endpoint(&caller.reach, &new, by).await? else {
        let detail = format!("{MOST} endpoints are registered; delete one that is no longer needed");
        return Err(Problem::new(StatusCode::CONFLICT, "too_many_endpoints", detail));
    };
    tracing::info!(endpoint = %endpoint.id, by = caller.name, "a webhook endpoint is registered");
    Ok(endpoint)
}
