//! The token call: client credentials in, a token out.
//!
//! Invariant: the client secret is read here and nowhere else, and no token is ever kept here.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use reqwest::{Method, Request, Url, header::HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{
    WallClock,
    client::{CALL_TIMEOUT, Clients, Lost},
    error_answer::{Call, ErrorAnswer},
    exchange::{Reply, exchange},
    failure::{Detail, Failure, name},
    permit::Deadline,
};

/// How long a token is taken to live that does not say so: the shortest life that Genesys gives.
const SHORTEST_LIFE: Duration = Duration::from_mins(5);
/// No token is believed to live longer: the longest life that Genesys gives.
const LONGEST_LIFE: Duration = Duration::from_hours(48);

/// Where and as whom to ask for tokens.
pub(super) struct Login {
    pub(super) url: Url,
    pub(super) client_id: String,
    pub(super) client_secret: SecretString,
    pub(super) wall_clock: WallClock,
}

/// What the login grants.
pub(super) struct Grant {
    pub(super) token: SecretString,
    /// `Bearer ...`, marked sensitive.
    pub(super) authorization: HeaderValue,
    pub(super) life: Duration,
    /// The scopes that it is known to have; empty where neither the answer nor the token tells.
    pub(super) scopes: Vec<String>,
}

impl Login {
    /// Asks once for a new token. None of its failures has touched a conversation, so a call that was to follow is
    /// not sent: only what the login refuses, or asks to wait for, is told apart.
    pub(super) async fn token(&self, clients: &Clients) -> Result<Grant, Failure> {
        // A token waits for no permit of the limiter: it can be written for as long as the call may take.
        let write_before = Deadline::within(CALL_TIMEOUT, &self.wall_clock);
        match exchange(clients, Call::Token, self.request(), write_before).await {
            Ok(reply) if reply.is_success() => grant(&reply),
            Ok(reply) => Err(self.failure(&reply)),
            Err(Lost::NotSent(message) | Lost::Silent(message) | Lost::Unknown(message)) => {
                Err(Failure::NotSent(Detail::new(Call::Token.name(), &message).into()))
            }
        }
    }

    fn request(&self) -> Request {
        let client_credentials = "grant_type=client_credentials";
        let credentials = format!("{}:{}", self.client_id, self.client_secret.expose_secret());
        let mut basic =
            HeaderValue::from_str(&format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(credentials)))
                .expect("base64 is ASCII");
        basic.set_sensitive(true);
        let mut request = Request::new(Method::POST, self.url.clone());
        let headers = request.headers_mut();
        headers.insert("authorization", basic);
        headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert("accept", HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(client_credentials.into());
        request
    }

    fn failure(&self, reply: &Reply) -> Failure {
        let answer = ErrorAnswer::read(reply.failure_body(), &self.client_secret);
        let detail = Box::new(answer.detail(Call::Token, reply.status, reply.correlation_id.clone()));
        match reply.status {
            429 => Failure::Throttled {
                wait: reply.wait(answer.message.as_deref(), (self.wall_clock)()),
                detail,
            },
            // Neither another try nor another token helps: someone has to look at the settings.
            status @ (400..=407 | 409..=499) => {
                let host = self.url.host_str().unwrap_or_default();
                let missing = if matches!(status, 404 | 405) {
                    format!("there is no login at {host} for client {}: check login_url", self.client_id)
                } else {
                    format!("the login at {host} refused the credentials of client {}", self.client_id)
                };
                Failure::Forbidden { detail, missing }
            }
            _ => Failure::NotSent(detail),
        }
    }
}

/// What a success grants, if it can be read.
fn grant(reply: &Reply) -> Result<Grant, Failure> {
    let body = reply.body.as_ref().map_err(|why| malformed(reply, why))?;
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| malformed(reply, "the answer is not JSON"))?;
    let token = answer
        .get("access_token")
        .and_then(Value::as_str)
        .filter(|token| !token.is_empty())
        .ok_or_else(|| malformed(reply, "the answer has no access_token"))?;
    let mut authorization = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| malformed(reply, "the access_token cannot stand in a header"))?;
    authorization.set_sensitive(true);
    let life = match answer.get("expires_in") {
        None | Some(Value::Null) => SHORTEST_LIFE,
        Some(life) => match life.as_u64() {
            None | Some(0) => return Err(malformed(reply, "expires_in is not a number of seconds")),
            Some(seconds) => Duration::from_secs(seconds).min(LONGEST_LIFE),
        },
    };
    let scopes = scopes(answer.get("scope")).or_else(|| scopes_of_jwt(token)).unwrap_or_default();
    Ok(Grant { token: SecretString::from(token), authorization, life, scopes })
}

fn malformed(reply: &Reply, why: &str) -> Failure {
    let detail = Detail {
        status: Some(reply.status),
        correlation_id: reply.correlation_id.clone(),
        ..Detail::new(Call::Token.name(), why)
    };
    Failure::NotSent(detail.into())
}

/// Scopes as one string with spaces (RFC 6749, section 3.3) or as a list.
fn scopes(value: Option<&Value>) -> Option<Vec<String>> {
    let scopes: Vec<String> = match value? {
        Value::String(text) => text.split_whitespace().filter_map(name).collect(),
        Value::Array(list) => list.iter().filter_map(|scope| name(scope.as_str()?)).collect(),
        _ => return None,
    };
    Some(scopes).filter(|scopes| !scopes.is_empty())
}

/// The scopes in the payload of a token that is a JWT. Its signature is upstream's business: they are only shown.
fn scopes_of_jwt(token: &str) -> Option<Vec<String>> {
    let [_, payload, _] = token.split('.').collect::<Vec<_>>()[..] else { return None };
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    scopes(claims.get("scope")).or_else(|| scopes(claims.get("scp")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_scopes_of_a_token_are_read_from_its_payload() {
        let cases = [
            (jwt(r#"{"scope": "a:b c:d"}"#), Some(vec!["a:b", "c:d"])),
            (jwt(r#"{"scope": ["a:b", 1, "c:d"]}"#), Some(vec!["a:b", "c:d"])),
            (jwt(r#"{"scp": ["a:b"]}"#), Some(vec!["a:b"])),
            (jwt(r#"{"scope": ""}"#), None),
            (jwt("[]"), None),
            ("opaque".to_owned(), None),
            ("a.b.c".to_owned(), None),
            ("a.b.c.d".to_owned(), None),
        ];
        for (token, expected) in cases {
            let expected =
                expected.map(|scopes| scopes.into_iter().map(ToOwned::to_owned).collect::<Vec<_>>());
            assert_eq!(scopes_of_jwt(&token), expected, "{token}");
        }
    }
}
