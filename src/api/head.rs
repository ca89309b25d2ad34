//! Checks the head of a request: a proxy in front and this service must not read it differently.

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
            let detail = format!("the header {name} is in the request more than once; send it once");
            return Some(Problem::new(StatusCode::BAD_REQUEST, "repeated_header", detail));
        }
    }
    let has_host = request.version() != Version::HTTP_11 || headers.contains_key(HOST);
    (!has_host).then(|| {
        let detail = "an HTTP/1.1 request must have a Host header";
        Problem::new(StatusCode::BAD_REQUEST, "no_host", detail)
    })
}
