//! Counts and times requests by route.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use super::state::ApiState;

/// The label for unknown paths and methods: labels contain nothing from outside.
const OTHER: &str = "other";

/// Counts the request and times its answer.
pub(super) async fn requests(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or(OTHER, MatchedPath::as_str);
    let timed = state.metrics.meters().request(method(request.method()), route);
    let response = next.run(request).await;
    timed.end_with_status(response.status().as_u16());
    response
}

fn method(method: &Method) -> &'static str {
    const KNOWN: [(&Method, &str); 7] = [
        (&Method::GET, "GET"),
        (&Method::POST, "POST"),
        (&Method::PUT, "PUT"),
        (&Method::PATCH, "PATCH"),
        (&Method::DELETE, "DELETE"),
        (&Method::HEAD, "HEAD"),
        (&Method::OPTIONS, "OPTIONS"),
    ];
    KNOWN.iter().find(|(known, _)| *known == method).map_or(OTHER, |(_, word)| word)
}
