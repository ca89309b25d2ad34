//! The token call: client credentials in, a token out.
//!
//! Invariant: the client secret is read here and nowhere else, and no token is ever kept here.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use reqwest::{Method, Request, Url, header::HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    WallClock,
    client::{CALL_TIMEOUT, Clients, Lost},
    error_answer::{Call, ErrorAnswer},
    exchange::{Reply, exchange},
    failure::{Detail, Failure, name},
    json::{Object, each_element, text},
    permit::Deadline,
};
use crate::domain::secrets::Secrets;
use crate::domain::unreached::place;

/// No token is longer: what is sent with every call has to fit into the head of a request.
const LONGEST_TOKEN: usize = 16 * 1024;
/// So many scopes are remembered at most.
const MOST_SCOPES: usize = 100;

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
    /// The token and all that was needed to get it.
    pub(super) secrets: Secrets,
    /// `Bearer ...`, marked sensitive.
    pub(super) authorization: HeaderValue,
    pub(super) life: Duration,
    /// The scopes that it is known to have; empty where neither the answer nor the token tells.
    pub(super) scopes: Vec<String>,
}

/// Why the login gave no token.
pub(super) struct LoginFailure {
    pub(super) failure: Failure,
    /// How long it asks to wait, if it does.
    pub(super) wait: Option<Duration>,
}

impl From<Failure> for LoginFailure {
    fn from(failure: Failure) -> Self {
        Self { failure, wait: None }
    }
}

impl Login {
    /// Asks once for a new token. None of its failures has touched a conversation, so a call that was to follow is
    /// not sent: only what the login refuses, or asks to wait for, is told apart.
    ///
    /// `known`: what the login may echo.
    pub(super) async fn token(&self, clients: &Clients, known: &Secrets) -> Result<Grant, LoginFailure> {
        // A token waits for no permit of the limiter: it can be written for as long as the call may take.
        let write_before = Deadline::within(CALL_TIMEOUT, &self.wall_clock);
        let mut reply = exchange(clients, Call::Token, self.request(), 0, write_before).await;
        if let Ok(reply) = &mut reply {
            reply.strike(known);
        }
        match reply {
            Ok(reply) if reply.is_success() => Ok(grant(&reply, &self.secrets(), &place(&self.url))?),
            Ok(reply) => Err(self.failure(reply, known)),
            Err(Lost::NotSent(message) | Lost::Silent(message) | Lost::Unknown(message)) => {
                let detail = Detail::new(Call::Token.word(), &message);
                Err(Failure::NotSent(detail.into()).into())
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

    /// What the login is sent.
    pub(super) fn secrets(&self) -> Secrets {
        Secrets::of_client(&self.client_id, self.client_secret.expose_secret())
    }

    fn failure(&self, mut reply: Reply, known: &Secrets) -> LoginFailure {
        let answer = ErrorAnswer::read(&reply.take_failure_body(), known);
        let detail = Box::new(answer.detail(Call::Token, reply.status, reply.correlation_id.clone()));
        let wait = reply.wait(answer.message.as_deref(), (self.wall_clock)());
        let failure = match reply.status {
            429 => Failure::Throttled { wait, detail },
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
        };
        LoginFailure { failure, wait }
    }
}

/// What a success says; whatever else there is, is passed over.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Granted<'a> {
    #[serde(borrow)]
    access_token: Option<&'a RawValue>,
    #[serde(borrow)]
    expires_in: Option<&'a RawValue>,
    #[serde(borrow)]
    scope: Option<&'a RawValue>,
}

/// What a success grants, if it can be read.
fn grant(reply: &Reply, secrets: &Secrets, host: &str) -> Result<Grant, Failure> {
    let body = reply.body.as_ref().map_err(|why| malformed(reply, why))?;
    let other_host = |without: &str| {
        let status = reply.status;
        let why = format!("{host} answered {status} without {without}; is this Genesys' login host?");
        malformed(reply, &why)
    };
    let Object(granted) =
        serde_json::from_slice::<Object<Granted<'_>>>(body).map_err(|_| other_host("JSON"))?;
    let token = granted
        .access_token
        .and_then(text)
        .filter(|token| !token.is_empty())
        .ok_or_else(|| other_host("an access_token"))?;
    if token.len() > LONGEST_TOKEN {
        let why = format!("the access_token is longer than {} KiB", LONGEST_TOKEN / 1024);
        return Err(malformed(reply, &why));
    }
    let mut authorization = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| malformed(reply, "the access_token can't be sent in a header"))?;
    authorization.set_sensitive(true);
    let secrets = secrets.with_token(&token);
    let mut scopes = granted.scope.map(scopes).unwrap_or_default();
    if scopes.is_empty() {
        scopes = scopes_of_jwt(&token);
    }
    let scopes = scopes.iter().filter_map(|scope| name(&secrets.strike(scope))).collect();
    Ok(Grant { secrets, authorization, life: life(granted.expires_in), scopes })
}

/// The life that `expires_in` tells. What it can't mean costs no token: a token that was granted can be used, and what
/// becomes of it is seen soon enough.
fn life(expires_in: Option<&RawValue>) -> Duration {
    let seconds = expires_in.and_then(|told| {
        let told = text(told).unwrap_or_else(|| told.get().to_owned());
        told.trim().parse::<f64>().ok().filter(|seconds| *seconds >= 1.0)
    });
    let life = |seconds: f64| Duration::from_secs_f64(seconds.min(LONGEST_LIFE.as_secs_f64()));
    seconds.map_or(SHORTEST_LIFE, life)
}

fn malformed(reply: &Reply, why: &str) -> Failure {
    let detail = Detail {
        status: Some(reply.status),
        correlation_id: reply.correlation_id.clone(),
        ..Detail::new(Call::Token.word(), why)
    };
    Failure::NotSent(detail.into())
}

/// Scopes as one string with spaces (RFC 6749, section 3.3) or as a list.
fn scopes(value: &RawValue) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    let mut add = |words: &str| {
        let words = words.split_whitespace().take(MOST_SCOPES - scopes.len());
        scopes.extend(words.map(ToOwned::to_owned));
    };
    if let Some(words) = text(value) {
        add(&words);
    }
    each_element(value, |scope| add(&text(scope).unwrap_or_default()));
    scopes
}

/// The scopes in the payload of a token that is a JWT. Its signature is upstream's business: they are only shown.
fn scopes_of_jwt(token: &str) -> Vec<String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Claims<'a> {
        #[serde(borrow)]
        scope: Option<&'a RawValue>,
        #[serde(borrow)]
        scp: Option<&'a RawValue>,
    }
    let [_, payload, _] = token.split('.').collect::<Vec<_>>()[..] else { return Vec::new() };
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).unwrap_or_default();
    let Ok(Object(claims)) = serde_json::from_slice::<Object<Claims<'_>>>(&payload) else {
        return Vec::new();
    };
    let found = claims.scope.map(scopes).unwrap_or_default();
    if found.is_empty() { claims.scp.map(scopes).unwrap_or_default() } else { found }
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
            (jwt(r#"{"scope": "a:b c:d"}"#), vec!["a:b", "c:d"]),
            (jwt(r#"{"scope": ["a:b", 1, "c:d"]}"#), vec!["a:b", "c:d"]),
            (jwt(r#"{"scp": ["a:b"]}"#), vec!["a:b"]),
            (jwt(r#"{"scope": "", "scp": "a:b"}"#), vec!["a:b"]),
            (jwt(r#"{"scope": ""}"#), vec![]),
            (jwt("[]"), vec![]),
            ("opaque".to_owned(), vec![]),
            ("a.b.c".to_owned(), vec![]),
            ("a.b.c.d".to_owned(), vec![]),
        ];
        for (token, expected) in cases {
            assert_eq!(scopes_of_jwt(&token), expected, "{token}");
        }
    }

    #[test]
    fn a_login_that_tells_scopes_without_end_is_believed_the_first() {
        let many = format!("[{}]", vec!["\"a b c\""; 1000].join(","));
        assert_eq!(scopes(serde_json::from_str(&many).unwrap()).len(), MOST_SCOPES);
    }

    #[test]
    fn every_life_that_a_login_may_tell_is_a_sane_one() {
        let (shortest, longest) = (SHORTEST_LIFE.as_millis(), LONGEST_LIFE.as_millis());
        let cases = [
            ("86400", 86_400_000),
            ("300.5", 300_500),
            ("1", 1000),
            (r#""3600""#, 3_600_000),
            (r#"" 3600 ""#, 3_600_000),
            (r#""3600.0""#, 3_600_000),
            ("172801", longest),
            ("18446744073709551616", longest),
            ("1e300", longest),
            ("1e999", longest),
            (r#""inf""#, longest),
            ("0", shortest),
            ("0.5", shortest),
            ("-1", shortest),
            ("-1e999", shortest),
            (r#""-3600""#, shortest),
            (r#""NaN""#, shortest),
            (r#""soon""#, shortest),
            (r#""""#, shortest),
            ("true", shortest),
            ("[3600]", shortest),
            (r#"{"seconds": 3600}"#, shortest),
            ("null", shortest),
        ];
        for (told, expected) in cases {
            let told: Option<&RawValue> = serde_json::from_str(told).unwrap();
            assert_eq!(life(told).as_millis(), expected, "{told:?}");
        }
        assert_eq!(life(None), SHORTEST_LIFE);
    }
}
