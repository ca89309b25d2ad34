//! What every page has around it.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::gate::Visitor;
use super::parts::token;
use crate::domain::keys::Scope;

/// A page, ready to be sent.
#[derive(Debug)]
pub(super) struct Page(Markup);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "text/html; charset=utf-8")], self.0.into_string()).into_response()
    }
}

/// No styles of its own, and nothing that is read as code: the policy of the pages forbids both.
const HTMX: &str =
    r#"{"includeIndicatorStyles":false,"allowEval":false,"historyCacheSize":0,"selfRequestsOnly":true}"#;

/// A page with this title and body.
pub(super) fn page(visitor: Option<&Visitor>, title: &str, body: &Markup) -> Page {
    Page(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX);
                title { (title) " · genesys-purge" }
                link rel="stylesheet" href="/admin/assets/admin.css";
                link rel="icon" href="/admin/assets/icon.svg" type="image/svg+xml";
                script src="/admin/assets/htmx.min.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header.top {
                    a.brand href="/admin" { "genesys-purge" }
                    @if let Some(visitor) = visitor { (navigation(visitor)) }
                }
                main #main {
                    h1 { (title) }
                    (body)
                }
            }
        }
    })
}

/// A page is one of those that a link of the navigation leads to.
fn is_within(page: &str, link: &str) -> bool {
    let rest = page.strip_prefix(link).filter(|_| link != "/admin");
    page == link || rest.is_some_and(|rest| rest.starts_with('/'))
}

fn navigation(visitor: &Visitor) -> Markup {
    let links = [
        ("/admin", "Overview", Scope::PurgesRead),
        ("/admin/purges", "Purges", Scope::PurgesRead),
        ("/admin/conversations", "Conversations", Scope::PurgesRead),
        ("/admin/holds", "Holds", Scope::PurgesRead),
        ("/admin/webhooks", "Webhooks", Scope::WebhooksWrite),
        ("/admin/keys", "Keys", Scope::Admin),
    ];
    let orgs = visitor.caller.reach.orgs().map(|orgs| orgs.join(", "));
    html! {
        nav aria-label="Pages" {
            ul {
                @for (path, name, _) in links.iter().filter(|(_, _, scope)| visitor.may(*scope)) {
                    li { a href=(path) aria-current=[is_within(&visitor.path, path).then_some("true")] { (name) } }
                }
            }
        }
        form.who method="post" action="/admin/sign-out" {
            (token(visitor))
            span { (visitor.caller.name) @if let Some(orgs) = orgs { " (" (orgs) ")" } }
            button.plain type="submit" { "Sign out" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_within;

    #[test]
    fn a_page_is_within_one_link_of_the_navigation() {
        let table = [
            ("/admin", "/admin", true),
            ("/admin/purges", "/admin", false),
            ("/admin/purges", "/admin/purges", true),
            ("/admin/purges/new", "/admin/purges", true),
            ("/admin/purges.csv", "/admin/purges", false),
            ("/admin/orgs/eu/stop", "/admin/purges", false),
        ];
        for (page, link, is_in) in table {
            assert_eq!(is_within(page, link), is_in, "{page} {link}");
        }
    }
}
