//! `POST /oauth/token`: client credentials for a bearer token.
//!
//! Invariant: the token call counts against no limit of the others, and no token is ever logged.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use super::super::Sandbox;
use super::super::calls::Call;
use super::super::line::Line;
use super::desk::{self, Worked};
use super::error::Refusal;
use super::{auth, details};

#[derive(Serialize)]
struct Granted<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
}

/// HTTP Basic with the client's id and secret, and the form `grant_type=client_credentials`.
pub(super) async fn issue(
    State(sandbox): State<Arc<Sandbox>>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    desk::serve(sandbox, line, Call::Token, move |sandbox| {
        let answer = details::whole(body).and_then(|body| grant(sandbox, &headers, &body));
        Worked { ids: 0, job_id: None, answer }
    })
    .await
}

fn grant(sandbox: &Sandbox, headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    // Other parameters may stand beside it; both of its words need no escaping.
    let asks = body.split(|byte| *byte == b'&').any(|pair| pair == b"grant_type=client_credentials");
    if !is_form || !asks {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "unsupported.grant.type",
            "The body must be the form grant_type=client_credentials.",
        ));
    }
    let now = sandbox.now();
    let mut guard = sandbox.world();
    let world = &mut *guard;
    if !auth::is_client(&world.settings, headers) {
        let message = "The client id and secret are not those of a client of this organization.";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "invalid.client", message));
    }
    let lifetime = world.settings.token_lifetime_seconds;
    let token = world.tokens.issue(now, lifetime, &mut world.chance);
    let answer = Granted {
        access_token: &token,
        token_type: "bearer",
        expires_in: lifetime,
        scope: &world.settings.scope,
    };
    Ok(serde_json::to_vec(&answer).unwrap_or_default())
}
