//! Authentication: who calls, and whether the key allows it. The service never runs without keys.

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::key_id::KeyId;
use super::negotiate;
use super::problem::Problem;
use super::state::ApiState;
use crate::domain::keys::{Caller, Scope};
use crate::store::keys::Brought;
use crate::store::{Store, Urgency};

/// The caller, as [`guard`] has authenticated it.
#[derive(Debug, Clone)]
pub(super) struct Authorized(pub(super) Caller);

impl<S: Sync> FromRequestParts<S> for Authorized {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::no_key)
    }
}

#[derive(Clone)]
struct Guard {
    state: ApiState,
    scope: Scope,
    urgency: Urgency,
    takes_place: bool,
}

/// Lets only keys with this scope reach the routes, and only callers that accept the media types of the answers;
/// nothing of a request is read before. With `takes_place`, a request needs one of the places for database reads.
pub(super) fn guard(
    router: Router<ApiState>,
    state: &ApiState,
    scope: Scope,
    urgency: Urgency,
    takes_place: bool,
) -> Router<ApiState> {
    let guard = Guard { state: state.clone(), scope, urgency, takes_place };
    router.route_layer(from_fn_with_state(guard, check))
}

async fn check(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let Guard { state, scope, urgency, takes_place } = guard;
    let (id, caller) = match authorize(&state, request.headers(), scope, urgency).await {
        Ok(known) => known,
        Err(refusal) => return refusal.into_response(),
    };
    if let Some(problem) = negotiate::refusal(&request) {
        return problem.into_response();
    }
    request.extensions_mut().insert(Authorized(caller));
    admit(&state, KeyId(id), takes_place, request, next).await
}

/// Runs a request of a known key: it takes its place, and its answer is counted until the client has read it.
pub(crate) async fn admit(
    state: &ApiState,
    key: KeyId,
    takes_place: bool,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(key);
    let place = if takes_place {
        match state.room.reads.take(key, 1, state.request_timeout).await {
            Ok(place) => Some(place),
            Err(problem) => return problem.into_response(),
        }
    } else {
        None
    };
    let response = next.run(request).await;
    drop(place);
    state.room.keep(key, response, state.request_timeout).await
}

/// Why a request may not pass.
pub(super) enum Refusal {
    /// It brings no key in force.
    NoKey,
    /// Its key does not allow it, or can't be looked up.
    Problem(Problem),
}

impl Refusal {
    /// The key could not be looked up.
    pub(super) fn is_outage(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.status == StatusCode::SERVICE_UNAVAILABLE.as_u16())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::NoKey => Problem::no_key().into_response(),
        }
    }
}

/// The id and the name of the key in these headers, if it has this scope.
pub(super) async fn authorize(
    state: &ApiState,
    headers: &HeaderMap,
    scope: Scope,
    urgency: Urgency,
) -> Result<(Uuid, Caller), Refusal> {
    let key = bearer(headers).ok_or(Refusal::NoKey)?;
    let (id, caller) = match state.store.find_caller(key, urgency).await {
        Ok(Brought::InForce(id, caller)) => (id, caller),
        Ok(Brought::Expired(at)) => return Err(Refusal::Problem(Problem::expired_key(at))),
        Ok(Brought::Unknown) => return Err(Refusal::NoKey),
        Err(error) => return Err(Refusal::Problem(error.into())),
    };
    if caller.may(scope) {
        Ok((id, caller))
    } else {
        let detail = format!("this key lacks the scope {scope}");
        Err(Refusal::Problem(Problem::new(StatusCode::FORBIDDEN, "missing_scope", detail)))
    }
}

/// Refuses if the key was revoked or has expired since [`guard`] checked it: long-running requests check again before
/// they act.
pub(super) async fn check_again(store: &Store, KeyId(id): KeyId) -> Result<(), Problem> {
    if store.is_key_in_force(id).await? { Ok(()) } else { Err(Problem::no_key()) }
}

/// The key that a request brings.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}
