//! `ETag`s: a client that asks again for an unchanged resource gets a few bytes.
//!
//! The tag is a digest of the document. It is weak, because the same document is sent gzipped and plain.

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body::Body as _;
use sha2::{Digest as _, Sha256};

use super::problem;

/// The resources that have one.
pub(super) const TAGGED: &[&str] = &[
    "/conversations/{conversationId}",
    "/docs/",
    "/docs/{*asset}",
    "/holds/{id}",
    "/jobs/{id}",
    "/openapi.json",
    "/openapi.yaml",
    "/orgs/{org}",
    "/purges/{id}",
    "/webhook-deliveries/{id}",
];

/// This much of the digest distinguishes states well enough.
const LENGTH: usize = 16;

/// Tags resources that are read, and answers 304 if the caller already has the current one.
pub(super) async fn tag(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let is_tagged = path.is_some_and(|path| TAGGED.contains(&path.as_str()))
        && [Method::GET, Method::HEAD].contains(request.method());
    let had = is_tagged.then(|| request.headers().clone());
    let response = next.run(request).await;
    match had {
        // Streams have no end and so no digest.
        Some(had) if response.status() == StatusCode::OK && response.body().size_hint().exact().is_some() => {
            tagged(&had, response).await
        }
        _ => response,
    }
}

async fn tagged(had: &HeaderMap, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = match problem::bytes_of(body).await {
        Ok(bytes) => bytes,
        Err(problem) => return problem.into_response(),
    };
    let told = parts.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
    let tag = told.unwrap_or_else(|| of(&bytes));
    let is_known = has(had, tag.trim_start_matches("W/"));
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(ETAG, value);
    }
    if !is_known {
        return Response::from_parts(parts, Body::from(bytes));
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::empty())
}

/// The tag of this document.
pub(super) fn of(bytes: &[u8]) -> String {
    format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(bytes)[..LENGTH]))
}

/// Whether one of the tags that the caller has is this one, weakly compared (RFC 9110, 8.8.3.2).
fn has(headers: &HeaderMap, opaque: &str) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|list| {
        let mut rest = list.trim();
        if rest == "*" {
            return true;
        }
        // A tag may contain commas, so it ends at its quote.
        while let Some(begin) = rest.find('"') {
            let Some(length) = rest[begin + 1..].find('"') else { return false };
            let end = begin + length + 2;
            if rest[begin..end] == *opaque {
                return true;
            }
            rest = &rest[end..];
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_lists_however_it_is_written() {
        let table: &[(&[&str], bool)] = &[
            (&[], false),
            (&[""], false),
            (&["*"], true),
            (&[" * "], true),
            (&["\"abc\""], true),
            (&["W/\"abc\""], true),
            (&["\"x\", W/\"abc\", \"y\""], true),
            (&["\"x\",\"abc\""], true),
            (&["\"x\"", "W/\"abc\""], true),
            (&["\"a,b\", \"abc\""], true),
            (&["\"ab\", \"abcd\""], false),
            (&["\"*\""], false),
            (&["abc"], false),
            (&["\"abc"], false),
            (&["\"ABC\""], false),
        ];
        for (values, expected) in table {
            let headers: HeaderMap =
                values.iter().map(|value| (IF_NONE_MATCH, HeaderValue::from_str(value).unwrap())).collect();
            assert_eq!(has(&headers, "\"abc\""), *expected, "{values:?}");
        }
    }
}
