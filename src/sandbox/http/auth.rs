//! Who may call: client credentials for the token, the token for everything else.
//!
//! Invariant: a call is let in by what holds now: a scope that was withdrawn counts from the next call on.

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::breaches::Rule;
use super::super::settings::{NEEDED_SCOPE, Settings};
use super::super::tokens::Worth;
use super::super::world::World;
use super::error::Refusal;

/// A caller that renews in time may still be overtaken by its token's end for so long.
const EXPIRY_GRACE: SignedDuration = SignedDuration::from_secs(5);

/// Lets a call in by its bearer token and the client's scope.
pub(super) fn admit(world: &mut World, headers: &HeaderMap, now: Timestamp) -> Result<(), Refusal> {
    let unauthorized = |code, message| Err(Refusal::new(StatusCode::UNAUTHORIZED, code, message));
    let Some(token) = credentials(headers, "Bearer") else {
        return unauthorized("authentication.required", "No authentication bearer token specified.");
    };
    match world.tokens.worth(token, now) {
        Worth::Good => {}
        Worth::Expired(since) => {
            if now.duration_since(since) > EXPIRY_GRACE {
                world.breaches.note(Rule::ExpiredTokenUsed, now, json!({"expiredAt": since}));
            }
            return unauthorized("bad.credentials", "The token has expired.");
        }
        Worth::Unknown => return unauthorized("bad.credentials", "The token is not valid."),
    }
    if !world.settings.grants_deletion() {
        let message = format!("You do not have the permission for this action: [{NEEDED_SCOPE}]");
        return Err(Refusal::new(StatusCode::FORBIDDEN, "missing.permissions", message).missing(NEEDED_SCOPE));
    }
    Ok(())
}

/// Whether HTTP Basic credentials are those of the client.
pub(super) fn is_client(settings: &Settings, headers: &HeaderMap) -> bool {
    let pair = credentials(headers, "Basic")
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    pair.as_deref().and_then(|pair| pair.split_once(':'))
        == Some((settings.client_id.as_str(), settings.client_secret.as_str()))
}

/// What follows the scheme in `Authorization`; schemes are written in any letter case (RFC 9110, 11.1).
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (given, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}
