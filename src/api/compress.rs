//! Large answers go out as gzip to those who take it, piece by piece as they are made.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate as _, SizeAbove};

use super::ApiState;
use super::negotiate;

/// What is smaller fits into a packet or two anyway.
const WORTH_IT: u64 = 1024;

/// What is text. Events are not among them: each has to arrive when it happens.
const TEXTS: &[&str] = &[
    "application/javascript",
    "application/json",
    "application/openmetrics-text",
    "application/problem+json",
    "application/x-ndjson",
    "application/yaml",
    "text/css",
    "text/csv",
    "text/html",
    "text/javascript",
    "text/plain",
];

/// Folds the answers of these routes.
pub(super) fn fold(router: Router<ApiState>) -> Router<ApiState> {
    let layer = CompressionLayer::new().gzip(true).compress_when(SizeAbove::new(WORTH_IT).and(is_text));
    router.layer(layer).layer(from_fn(narrow))
}

fn is_text(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let told = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = told.split(';').next().unwrap_or_default().trim();
    TEXTS.iter().any(|text| media_type.eq_ignore_ascii_case(text))
}

/// Says to the layer within only whether it may fold. Left to itself it would turn answers into 406 where no coding is
/// acceptable, after the call was done; sent as they are they can still be read.
async fn narrow(mut request: Request, next: Next) -> Response {
    let takes_gzip = negotiate::takes_gzip(request.headers());
    request.headers_mut().remove(ACCEPT_ENCODING);
    if takes_gzip {
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let mut response = next.run(request).await;
    let tells = |value: &HeaderValue| {
        value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("accept-encoding"))
    };
    if !response.headers().get_all(VARY).iter().any(tells) {
        response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}
