//! Who calls, and whether the key allows it. The service never runs open.

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use uuid::Uuid;

use super::problem::Problem;
use super::{ApiState, negotiate};
use crate::domain::keys::{Caller, Scope};

/// The caller, whom [`guard`] has checked.
#[derive(Debug, Clone)]
pub(super) struct Authorized(pub(super) Caller);

impl<S: Sync> FromRequestParts<S> for Authorized {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(no_key)
    }
}

/// The id of the key that the caller, whom [`guard`] has checked, has sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyId(pub(super) Uuid);

impl<S: Sync> FromRequestParts<S> for KeyId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().copied().ok_or_else(no_key)
    }
}

#[derive(Clone)]
struct Guard {
    state: ApiState,
    scope: Scope,
}

/// Lets only keys with this scope reach the routes, and only those who take what they answer; nothing of a request is
/// read before.
pub(super) fn guard(router: Router<ApiState>, state: &ApiState, scope: Scope) -> Router<ApiState> {
    router.route_layer(from_fn_with_state(Guard { state: state.clone(), scope }, check))
}

async fn check(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let Some(key) = bearer(request.headers()) else { return refuse() };
    let (id, caller) = match guard.state.store.find_caller(key).await {
        Ok(Some(known)) => known,
        Ok(None) => return refuse(),
        Err(error) => return Problem::from(error).into_response(),
    };
    if !caller.may(guard.scope) {
        let detail = format!("this key lacks the scope {}", guard.scope);
        return Problem::new(StatusCode::FORBIDDEN, "missing_scope", detail).into_response();
    }
    if let Some(problem) = negotiate::refusal(&request) {
        return problem.into_response();
    }
    request.extensions_mut().insert(Authorized(caller));
    request.extensions_mut().insert(KeyId(id));
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

fn refuse() -> Response {
    let mut response = no_key().into_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn no_key() -> Problem {
    let detail =
        "send an API key in force as `Authorization: Bearer <key>`; `genesys-purge keys create` makes one";
    Problem::new(StatusCode::UNAUTHORIZED, "no_key", detail)
}
