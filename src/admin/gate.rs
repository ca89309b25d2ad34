//! Who may look at a page: whoever has a session whose key is in force. What comes from another site changes nothing.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use uuid::Uuid;

use super::{Desk, failure};
use crate::api::{KeyId, Problem, RequestId, admit};
use crate::domain::keys::{Caller, Scope};
use crate::store::Urgency;
use crate::store::keys::By;

/// Nothing is loaded from elsewhere, and nothing runs that is not a file of this service.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Who looks.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) caller: Caller,
    pub(super) key_id: Uuid,
    /// What each form must carry.
    pub(super) token: String,
    pub(super) request_id: String,
    /// What is looked at.
    pub(super) path: String,
    /// A part of the page is fetched anew by the page.
    pub(super) is_refresh: bool,
}

impl Visitor {
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.caller.may(scope)
    }

    /// Refuses who may not.
    pub(super) fn must(&self, scope: Scope) -> Result<(), Problem> {
        if self.may(scope) {
            return Ok(());
        }
        let detail = format!("your key does not have the scope {scope}");
        Err(Problem::new(StatusCode::FORBIDDEN, "missing_scope", detail))
    }

    /// In whose name something is done.
    pub(super) fn by<'a>(&'a self, reason: Option<&'a str>) -> By<'a> {
        By { key_id: self.key_id, name: &self.caller.name, request_id: &self.request_id, reason }
    }

    /// Refuses a form that was not made for this session.
    pub(super) fn check_token(&self, sent: &str) -> Result<(), Problem> {
        let is_ours =
            aws_lc_rs::constant_time::verify_slices_are_equal(sent.as_bytes(), self.token.as_bytes());
        is_ours.map_err(|_| {
            let detail = "this form belongs to another session; open the page again and send it from there";
            Problem::new(StatusCode::FORBIDDEN, "foreign_form", detail)
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::no_key)
    }
}

/// Before what only those with a session see.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) desk: Desk,
    /// What is asked takes a place among those who read.
    pub(super) takes_place: bool,
}

pub(super) async fn check(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let Gate { desk, takes_place } = gate;
    let (mut parts, body) = request.into_parts();
    let visitor = match visitor(&desk, &parts).await {
        Ok(Some(visitor)) => visitor,
        Ok(None) => return dressed(to_sign_in(&parts)),
        Err(problem) => return dressed(failure::shown(problem.into_response(), None)),
    };
    parts.extensions.insert(visitor.clone());
    let request = Request::from_parts(parts, body);
    let response = admit(&desk.api, KeyId(visitor.key_id), takes_place, request, next).await;
    dressed(failure::shown(response, Some(&visitor)))
}

/// Before what everybody sees.
pub(super) async fn open(request: Request, next: Next) -> Response {
    let response = match check_origin(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    dressed(failure::shown(response, None))
}

async fn visitor(desk: &Desk, asked: &Parts) -> Result<Option<Visitor>, Problem> {
    check_origin(&asked.method, &asked.headers)?;
    let (store, headers) = (&desk.api.store, &asked.headers);
    let now = (desk.api.hooks.clock)();
    let Some(session) = desk.sessions.of(store, headers, now).await? else { return Ok(None) };
    let urgency = if asked.method == Method::POST { Urgency::Protecting } else { Urgency::Ordinary };
    let Some(caller) = store.caller_of_key(session.key_id, urgency).await? else { return Ok(None) };
    let request_id = asked.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let is_refresh = headers.contains_key("hx-request");
    let path = asked.uri.path().to_owned();
    Ok(Some(Visitor { caller, key_id: session.key_id, token: session.token, request_id, path, is_refresh }))
}

/// A browser says where a form was sent from; what another site sends is refused before anything of it is read.
fn check_origin(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let from = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let is_ours = matches!(from, None | Some(b"same-origin" | b"none"));
    if is_ours || matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let detail = "this form was sent from another site; nothing was done";
    Err(Problem::new(StatusCode::FORBIDDEN, "foreign_site", detail))
}

/// Where to sign in, and what was asked for before; a form that was sent is not sent again.
fn to_sign_in(asked: &Parts) -> Response {
    // A part of a page can't sign anybody in: the page goes there as a whole.
    if asked.headers.contains_key("hx-request") {
        return (StatusCode::UNAUTHORIZED, [("hx-redirect", "/admin/sign-in")]).into_response();
    }
    let path = asked.uri.path_and_query().map_or("/admin", |path| path.as_str());
    let query = if asked.method == Method::GET && path != "/admin" {
        form_urlencoded::Serializer::new(String::from("?")).append_pair("next", path).finish()
    } else {
        String::new()
    };
    Redirect::to(&format!("/admin/sign-in{query}")).into_response()
}

/// Every page tells the browser what it may do with it.
fn dressed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_site_sends_is_refused_and_links_are_not() {
        let table = [
            (Method::POST, Some("cross-site"), false),
            (Method::POST, Some("same-site"), false),
            (Method::POST, Some("anything"), false),
            (Method::POST, Some("same-origin"), true),
            (Method::POST, Some("none"), true),
            (Method::POST, None, true),
            (Method::GET, Some("cross-site"), true),
        ];
        for (method, site, is_taken) in table {
            let mut headers = HeaderMap::new();
            if let Some(site) = site {
                headers.insert("sec-fetch-site", HeaderValue::from_static(site));
            }
            assert_eq!(check_origin(&method, &headers).is_ok(), is_taken, "{method} {site:?}");
        }
    }
}
