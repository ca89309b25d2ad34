//! Every request has an id: the caller's own if it is safe to log, else a new one. Answers, problems, logs and events
//! carry it.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::Instrument as _;

use super::problem::Problem;
use super::state::ApiState;
use super::trace_context;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 128;

/// The id of a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self(String::new())))
    }
}

/// Gives the request its id, and puts it into the answer and the log.
pub(super) async fn carry(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(&HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=LONGEST).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()))
        .map_or_else(|| (state.new_id)().to_string(), str::to_owned);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(RequestId(id.clone()));
    let trace = trace_context::of(request.headers());
    let span = tracing::info_span!(
        "request",
        %method,
        path,
        request_id = id,
        trace_id = trace.map(|trace| trace.trace_id),
        parent_id = trace.map(|trace| trace.parent_id),
    );
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let headers = std::mem::take(response.headers_mut());
        response = Problem { request_id: id.as_str().into(), ..problem }.into_response();
        for (name, value) in headers {
            // The document has grown by its request id, so its old length must not survive.
            let is_stale =
                |name: &HeaderName| *name == CONTENT_LENGTH || response.headers().contains_key(name);
            if let Some(name) = name.filter(|name| !is_stale(name)) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    tracing::debug!(parent: &span, status = response.status().as_u16(), "answered");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}
