//! Gives up on requests that take too long, except waits and uploads, which are not under this layer.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::Problem;
use super::state::ApiState;

/// Answers 503 after `server.request_timeout` and drops the work of the request.
pub(super) async fn limit(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    if let Ok(response) = tokio::time::timeout(state.request_timeout, next.run(request)).await {
        return response;
    }
    tracing::warn!("a request took longer than server.request_timeout");
    let detail = "the request timed out; try again in a moment";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", detail).into_response()
}
