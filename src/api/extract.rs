//! Extractors whose refusals are problem documents.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::incoming;
use super::incoming::Whole;
use super::plain::{plain, pointer, wrong_fields};
use super::problem::{FieldError, Problem};
use super::room::{Place, Places};
use super::state::ApiState;

/// The id in a path; anything but a UUID is not found.
#[derive(Debug)]
pub(super) struct PathId(pub(super) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let PathText(text) = PathText::from_request_parts(parts, state).await?;
        Uuid::try_parse(&text).map(Self).map_err(|_| Problem::not_found("resource"))
    }
}

/// The name in a path; anything but text is not found.
#[derive(Debug)]
pub(super) struct PathText(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        text.map(|text| Self(text.0)).map_err(|_| Problem::not_found("resource"))
    }
}

/// A query string is wrong, and its parser does not say where: an unknown name must be among the names that were sent.
fn unnamed(sent: &str, told: &str) -> Problem {
    let name =
        told.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')).map(|(name, _)| name);
    match name.filter(|name| has_parameter(sent, name)) {
        Some(name) => Problem::invalid_query(name, plain(told).detail),
        None => Problem::new(StatusCode::BAD_REQUEST, "invalid_query", plain(told).detail),
    }
}

/// The query string, typed; unknown and repeated names are refused.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|query| Self(query.0)).map_err(|error| {
            let told =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            let sent = parts.uri.query().unwrap_or_default();
            // If the error is about one parameter it says which.
            let wrong = told.split_once(": ").filter(|(name, _)| has_parameter(sent, name));
            let twice = told.strip_prefix("duplicate field `").and_then(|rest| rest.strip_suffix('`'));
            match wrong.or_else(|| twice.map(|name| (name, "is given twice"))) {
                Some((name, detail)) => Problem::invalid_query(name, plain(detail).detail),
                None => unnamed(sent, &told),
            }
        })
    }
}

/// Reads a parameter that must be one of these values, as the error says.
pub(super) fn parameter<'de, D: Deserializer<'de>, T: FromStr>(
    deserializer: D,
    is_one: impl FnOnce(&T) -> bool,
    must: impl FnOnce() -> String,
) -> Result<Option<T>, D::Error> {
    let value = String::deserialize(deserializer)?.parse().ok().filter(is_one);
    value.map(Some).ok_or_else(|| D::Error::custom(must()))
}

/// Reads a parameter that is a time; Postgres knows fewer years than callers, and nothing here is as old.
pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let at = parameter(deserializer, |_| true, || "must be a time such as 2026-11-25T12:00:00Z".to_owned())?;
    Ok(at.map(|at: Timestamp| at.max(Timestamp::UNIX_EPOCH)))
}

/// No query string at all: a wish in it would be ignored.
#[derive(Debug)]
pub(super) struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let sent = parts.uri.query().unwrap_or_default();
        match form_urlencoded::parse(sent.as_bytes()).next() {
            None => Ok(Self),
            Some((name, _)) => Err(Problem::invalid_query(&name, "is not known; this call takes no query")),
        }
    }
}

fn has_parameter(query: &str, name: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(sent, _)| sent == name)
}

/// A JSON body; errors name the field.
#[derive(Debug)]
pub(super) struct JsonBody<T> {
    pub(super) value: T,
    /// Its place in memory, to be kept as long as the value is.
    pub(super) place: Option<Place>,
}

impl<T: DeserializeOwned + Send + 'static> JsonBody<T> {
    /// A body of at most `intake.max_json` bytes, which takes one of these places if it is large.
    pub(super) async fn read(request: Request, state: &ApiState, places: &Places) -> Result<Self, Problem> {
        check_json(&request)?;
        let Whole { bytes, place } = incoming::json(request, state, Some(places)).await?;
        let value = if place.is_none() { parse_json(&bytes)? } else { parse_apart(bytes).await? };
        Ok(Self { value, place })
    }

    /// A small one.
    pub(super) async fn small(request: Request, state: &ApiState) -> Result<T, Problem> {
        Self::if_any(request, state).await?.ok_or_else(|| Problem::invalid_field("", "expected an object"))
    }

    /// A small one that may be left out, or null.
    pub(super) async fn if_any(request: Request, state: &ApiState) -> Result<Option<T>, Problem> {
        if axum::body::HttpBody::is_end_stream(request.body()) {
            return Ok(None);
        }
        let checked = check_json(&request);
        let bytes = incoming::json(request, state, None).await?.bytes;
        // Whether a chunked body is empty is known only now.
        if bytes.is_empty() {
            return Ok(None);
        }
        checked?;
        if bytes.trim_ascii() == b"null" { Ok(None) } else { parse_json(&bytes).map(Some) }
    }
}

/// No body, or one that says nothing: a wish in it would be ignored.
#[derive(Debug)]
pub(super) struct NoBody;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl FromRequest<ApiState> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        JsonBody::<Nothing>::if_any(request, state).await.map(|_| Self)
    }
}

fn check_json(request: &Request) -> Result<(), Problem> {
    let is_json = media_type(request.headers())?.as_deref() == Some("application/json");
    if is_json { Ok(()) } else { Err(unsupported("application/json")) }
}

/// Reads a large one on a thread that may be busy for a while.
async fn parse_apart<T: DeserializeOwned + Send + 'static>(bytes: Bytes) -> Result<T, Problem> {
    let parsed = tokio::task::spawn_blocking(move || parse_json(&bytes)).await;
    parsed.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the service stops")),
    })
}

/// For a larger body only the first wrong field is reported: reporting all would mean reading it into memory as a
/// whole.
const SMALL: usize = 256 * 1024;

/// Reads a JSON object; an error names the field that is wrong.
fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // A derived reader would take an array for an object too, field by field in the order of the code.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        let read = serde_json::from_slice::<serde::de::IgnoredAny>(bytes);
        return Err(
            read.map_or_else(|error| not_json(&error), |_| Problem::invalid_field("", "expected an object"))
        );
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        if inner.is_data() {
            let is_small = bytes.len() <= SMALL;
            let all =
                is_small.then(|| serde_json::from_slice(bytes).map(wrong_fields::<T>).unwrap_or_default());
            let all = all.unwrap_or_default();
            let first = plain(&inner.to_string()).detail;
            Problem::invalid(if all.is_empty() { vec![FieldError::new(pointer, first)] } else { all })
        } else {
            not_json(&inner)
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_json", format!("the body is not valid JSON: {error}"))
}

/// The media type of a body, without its parameters, in lower case. A charset other than UTF-8 is refused: the text
/// would be misread.
pub(super) fn media_type(headers: &axum::http::HeaderMap) -> Result<Option<String>, Problem> {
    let value = headers.get(axum::http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(value) = value else { return Ok(None) };
    let mut parts = value.split(';').map(|part| part.trim().to_ascii_lowercase());
    let media_type = parts.next();
    for part in parts {
        let Some((name, charset)) = part.split_once('=') else { continue };
        let charset = charset.trim().trim_matches('"');
        if name.trim() == "charset" && !CHARSETS.contains(&charset) {
            let detail = format!(
                "the charset {charset:?} is not supported; send the body as UTF-8, with charset=utf-8 or none"
            );
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
    }
    Ok(media_type)
}

/// UTF-8 and its part that is older, as they are commonly spelled.
const CHARSETS: &[&str] = &["utf-8", "utf8", "us-ascii", "ascii"];

/// Reads a JSON object whose members must have different names, as all readers agree only on those.
pub(super) fn unique_texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    struct Texts;

    impl<'de> Visitor<'de> for Texts {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("an object whose values are texts")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut texts = BTreeMap::new();
            while let Some((name, text)) = members.next_entry::<String, String>()? {
                if texts.insert(name, text).is_some() {
                    return Err(A::Error::custom("a name is given twice"));
                }
            }
            Ok(texts)
        }
    }

    deserializer.deserialize_map(Texts)
}

/// The body has a type that the call does not take.
pub(super) fn unsupported(wanted: &str) -> Problem {
    let detail = format!("send the body with Content-Type {wanted}");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}
