//! What the head of a request must say, and only once: a proxy in front and this service must not read it differently.

use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::Problem;

/// Refuses a head that can be read in two ways, before anything of it is.
pub(super) async fn check(request: Request, next: Next) -> Response {
    match refusal(&request) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

fn refusal(request: &Request) -> Option<Problem> {
    let headers = request.headers();
    for (header, name) in [(HOST, "Host"), (AUTHORIZATION, "Authorization")] {
        if headers.get_all(header).iter().nth(1).is_some() {
            let detail = format!("the header {name} stands more than once in the request; send it once");
            return Some(Problem::new(StatusCode::BAD_REQUEST, "repeated_header", detail));
        }
    }
    let has_host = request.version() != Version::HTTP_11 || headers.contains_key(HOST);
    (!has_host).then(|| {
        let detail =
            "a request of HTTP/1.1 must have a header Host; send the name that you call the service by";
        Problem::new(StatusCode::BAD_REQUEST, "no_host", detail)
    })
}
