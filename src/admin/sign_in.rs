//! Signing in with an API key, and out.

use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::gate::Visitor;
use super::layout::{self, Page};
use super::parts::to;
use super::place::Asked;
use super::{Desk, form, session};
use crate::api::Problem;
use crate::store::Urgency;

#[derive(Debug, Deserialize)]
pub(super) struct Next {
    /// What was asked for before.
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Sent {
    #[serde(default)]
    key: String,
    next: Option<String>,
}

pub(super) async fn page(Asked(asked): Asked<Next>) -> Page {
    show(asked.next.as_deref(), None)
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
    let Some((id, caller)) = desk.api.store.find_caller(key.trim(), Urgency::Ordinary).await? else {
        let page = show(next.as_deref(), Some("This key is not known, or was revoked."));
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    };
    let now = (desk.api.hooks.clock)();
    let session = desk.sessions.begin(&desk.api.store, id, now).await?;
    tracing::info!(by = caller.name, key = %id, "signed in to the admin page");
    Ok(with_cookie(to(within(next.as_deref())), Some(&session), &parts.headers))
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
