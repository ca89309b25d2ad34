//! Signing in with an API key, or by a link that was printed, and out.

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::gate::Visitor;
use super::layout::{self, Page};
use super::parts::to;
use super::place::Asked;
use super::{Desk, form, session};
use crate::api::Problem;
use crate::domain::keys::Caller;
use crate::store::Urgency;
use crate::store::keys::Brought;

#[derive(Debug, Deserialize)]
pub(super) struct Next {
    /// What was asked for before.
    next: Option<String>,
    /// The link that was printed has it.
    invitation: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Sent {
    #[serde(default)]
    key: String,
    next: Option<String>,
}

pub(super) async fn page(
    State(desk): State<Desk>,
    method: Method,
    Asked(asked): Asked<Next>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(token) = asked.invitation.filter(|_| method == Method::GET) else {
        return Ok(show(asked.next.as_deref(), None).into_response());
    };
    let refused = |why: &str| Ok((StatusCode::UNAUTHORIZED, show(None, Some(why))).into_response());
    // Nobody is signed in by another site, with whatever link.
    if !is_typed(&headers) {
        return refused("Open this link from the terminal, or type it; it is not taken from another page.");
    }
    let now = (desk.api.hooks.clock)();
    let known = match desk.invitations.take(&token, now) {
        Some(id) => desk.api.store.caller_of_key(id, Urgency::Ordinary).await?.map(|caller| (id, caller)),
        None => None,
    };
    let Some((id, caller)) = known else {
        return refused("This link was used before, or is older than 15 minutes. Sign in with the key.");
    };
    let session = begin(&desk, id, &caller).await?;
    let mut response = with_cookie(to("/admin"), Some(&session), &headers);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A browser says of an address that was typed or opened by another program that no site led there.
fn is_typed(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_none_or(|from| from == "none" || from == "same-origin")
}

fn show(next: Option<&str>, refusal: Option<&str>) -> Page {
    let body: Markup = html! {
        form.card.narrow method="post" action="/admin/sign-in" {
            @if let Some(refusal) = refusal { p.notice.bad role="alert" { (refusal) } }
            label for="key" { "API key" }
            input #key type="password" name="key" autocomplete="current-password" required autofocus
                spellcheck="false" aria-describedby="hint";
            p.hint #hint { "A key begins with " code { "gpk_" } ". What it may do decides what you see. You are signed out after 12 hours." }
            @if let Some(next) = next { input type="hidden" name="next" value=(next); }
            button.primary type="submit" { "Sign in" }
        }
    };
    layout::page(None, "Sign in", &body)
}

pub(super) async fn sign_in(State(desk): State<Desk>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = form::read(body).await?;
    let Sent { key, next } = form::fields(&bytes).await?;
    let refusal = match desk.api.store.find_caller(key.trim(), Urgency::Ordinary).await? {
        Brought::InForce(id, caller) => {
            let session = begin(&desk, id, &caller).await?;
            return Ok(with_cookie(to(within(next.as_deref())), Some(&session), &parts.headers));
        }
        Brought::Expired(at) => format!("This key expired at {at:.0}."),
        Brought::Unknown => "This key is not known, or was revoked.".to_owned(),
    };
    let page = show(next.as_deref(), Some(&refusal));
    Ok((StatusCode::UNAUTHORIZED, page).into_response())
}

/// A new session of this key.
async fn begin(desk: &Desk, id: Uuid, caller: &Caller) -> Result<String, Problem> {
    let now = (desk.api.hooks.clock)();
    let session = desk.sessions.begin(&desk.api.store, id, now).await?;
    tracing::info!(by = caller.name, key = %id, "signed in to the admin page");
    Ok(session)
}

/// The page to go on to: one of ours, whatever was asked for.
fn within(next: Option<&str>) -> &str {
    let is_ours = |path: &&str| {
        (*path == "/admin" || path.starts_with("/admin/") || path.starts_with("/admin?"))
            && path.bytes().all(|byte| byte.is_ascii_graphic())
    };
    next.filter(is_ours).unwrap_or("/admin")
}

pub(super) async fn sign_out(visitor: Visitor, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = form::read(body).await?;
    let token = form_urlencoded::parse(&bytes).find(|(name, _)| name == "token");
    visitor.check_token(token.map(|(_, token)| token).as_deref().unwrap_or_default())?;
    Ok(with_cookie(to("/admin/sign-in"), None, &parts.headers))
}

fn with_cookie(mut response: Response, session: Option<&str>, asked: &HeaderMap) -> Response {
    if let Some(cookie) = session::set_cookie(session, asked) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_signs_in_stays_on_this_site() {
        let table = [
            (None, "/admin"),
            (Some("/admin/purges?state=running"), "/admin/purges?state=running"),
            (Some("/admin?x=1"), "/admin?x=1"),
            (Some("https://example.com/admin"), "/admin"),
            (Some("//example.com"), "/admin"),
            (Some("/administer"), "/admin"),
            (Some("/admin/\r\nset-cookie: a=b"), "/admin"),
        ];
        for (next, path) in table {
            assert_eq!(within(next), path, "{next:?}");
        }
    }
}
