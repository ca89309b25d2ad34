//! Gzips large answers for clients that accept it, piece by piece as they are produced.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate as _, SizeAbove};

use super::negotiate;
use super::state::ApiState;

/// Smaller answers fit into a packet or two anyway.
const WORTH_IT: u64 = 1024;

/// Text types. Not event streams: each event has to arrive when it happens.
const TEXTS: &[&str] = &[
    "application/javascript",
    "application/json",
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

/// Only tells the inner layer whether it may compress. By itself it would turn answers into 406 if no coding is
/// acceptable, after the call was done; plain answers can still be read.
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

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use futures_util::{StreamExt as _, stream};
    use tower::ServiceExt as _;

    use super::*;

    /// Pieces that fold badly, and then nothing more for ever.
    async fn report() -> Response {
        let mut state = 1_u64;
        let mut piece = move || {
            let mut bytes = Vec::with_capacity(16 * 1024);
            for _ in 0..2048 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                bytes.extend_from_slice(&state.to_be_bytes());
            }
            Ok::<_, std::io::Error>(Bytes::from(bytes))
        };
        let pieces: Vec<_> = (0..64).map(|_| piece()).collect();
        let body = Body::from_stream(stream::iter(pieces).chain(stream::pending()));
        Response::builder().header(CONTENT_TYPE, "text/csv; charset=utf-8").body(body).unwrap()
    }

    #[tokio::test]
    async fn what_streams_goes_on_streaming() {
        let layer = CompressionLayer::new().gzip(true).compress_when(SizeAbove::new(WORTH_IT).and(is_text));
        let router: Router = Router::new().route("/", get(report)).layer(layer).layer(from_fn(narrow));
        let request = Request::get("/").header(ACCEPT_ENCODING, "gzip, br").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "gzip");
        let (mut body, mut came) = (response.into_body().into_data_stream(), 0);
        // The stream never ends: everything except what the encoder holds back has to arrive before.
        while came < 900_000 {
            came += body.next().await.unwrap().unwrap().len();
        }
    }

    #[test]
    fn texts_are_folded_and_events_are_not() {
        let is_folded = |media_type: &'static str| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
            is_text(StatusCode::OK, Version::HTTP_11, &headers, &Extensions::new())
        };
        for text in
            ["application/json", "Text/CSV; charset=utf-8; header=present", "application/problem+json"]
        {
            assert!(is_folded(text), "{text}");
        }
        for other in
            ["text/event-stream", "text/event-stream; charset=utf-8", "image/png", "application/json-seq", ""]
        {
            assert!(!is_folded(other), "{other}");
        }
    }
}
