//! An endpoint as callers read it.

use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::endpoints::Told;
use crate::store::endpoints::Endpoint;
use crate::webhooks::SigningSecret;

/// What signs the webhooks of an endpoint.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signing {
    /// `v1`: a secret that both sides know.
    #[default]
    Hmac,
    /// `v1a`: a private key that stays here; the receiver checks by the public one, and could not sign itself.
    Ed25519,
}

/// A receiver of webhooks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookEndpoint)]
pub(in crate::api) struct EndpointBody {
    id: Uuid,
    url: String,
    description: Option<String>,
    /// The events that it gets; null: all of them.
    events: Option<Vec<Told>>,
    /// The orgs whose events it gets; null: all.
    orgs: Option<Vec<String>>,
    /// The purge that named it, whose events it gets; null if it was registered.
    purge_id: Option<Uuid>,
    enabled: bool,
    disabled_at: Option<Timestamp>,
    /// Why the service disabled it; null if it did not.
    disabled_reason: Option<String>,
    signing: Signing,
    /// The public key (`whpk_`) that verifies signatures, if it signs with one.
    public_key: Option<String>,
    /// Until when the old secret signs too.
    previous_secret_until: Option<Timestamp>,
    /// Attempts in a row that failed.
    failures: i32,
    failing_since: Option<Timestamp>,
    /// Too many attempts failed: nothing is sent before this time.
    resting_until: Option<Timestamp>,
    created_by: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// An endpoint with its secret, which is shown once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookEndpointWithSecret)]
pub(in crate::api) struct EndpointWithSecret {
    #[serde(flatten)]
    endpoint: EndpointBody,
    /// The secret (`whsec_`) that verifies signatures; null if there is a public key.
    secret: Option<String>,
}

impl From<Endpoint> for EndpointBody {
    fn from(endpoint: Endpoint) -> Self {
        let secret = SigningSecret::parse(endpoint.secret.expose_secret()).ok();
        let public_key = secret.as_ref().and_then(SigningSecret::public_key);
        let (disabled_at, disabled_reason) = endpoint.disabled.unzip();
        Self {
            id: endpoint.id,
            url: endpoint.url,
            description: endpoint.description,
            events: endpoint.interest.events,
            orgs: endpoint.interest.orgs,
            purge_id: endpoint.purge,
            enabled: endpoint.enabled,
            disabled_at,
            disabled_reason: disabled_reason.flatten(),
            signing: if public_key.is_some() { Signing::Ed25519 } else { Signing::Hmac },
            public_key,
            previous_secret_until: endpoint.previous_until,
            failures: endpoint.failures,
            failing_since: endpoint.failing_since,
            resting_until: endpoint.resting_until,
            created_by: endpoint.created_by,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

impl From<Endpoint> for EndpointWithSecret {
    fn from(endpoint: Endpoint) -> Self {
        let secret = endpoint.secret.expose_secret().to_owned();
        let endpoint = EndpointBody::from(endpoint);
        let secret = (endpoint.signing == Signing::Hmac).then_some(secret);
        Self { endpoint, secret }
    }
}
