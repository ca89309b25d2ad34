//! Refusals, as pages.

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::html;

use super::gate::Visitor;
use super::layout;
use super::parts::sentence;
use crate::api::Problem;

pub(super) async fn no_such_page() -> Problem {
    Problem::not_found("page")
}

/// The page in the place of a problem; any other response as it is.
pub(super) fn shown(mut response: Response, visitor: Option<&Visitor>) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = html! {
        @if problem.errors.is_empty() { p.notice.bad { (sentence(&problem.detail)) } }
        @for error in &problem.errors {
            p.notice.bad { strong { (error.pointer.trim_start_matches('/')) } " " (error.detail) }
        }
        @if status == StatusCode::UNPROCESSABLE_ENTITY {
            p { "Go back to change it; your browser keeps what you typed." }
        }
        p { a href="/admin" { "Overview" } }
    };
    let page = layout::page(visitor, title(status), &body).into_response();
    let (mut parts, _) = response.into_parts();
    parts.status = status;
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Response::from_parts(parts, page.into_body())
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::CONFLICT => "Not possible now",
        StatusCode::UNPROCESSABLE_ENTITY => "Something is wrong with the form",
        StatusCode::UNAUTHORIZED => "Not signed in",
        _ => "That did not work",
    }
}
