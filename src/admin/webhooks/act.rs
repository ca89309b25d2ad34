//! Test, rotate the secret of, disable and enable an endpoint.

use axum::extract::{FromRequest as _, Request, State};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::create::secret;
use super::read;
use crate::admin::Desk;
use crate::admin::form::{Checked, Nothing};
use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{facts, question, text_if_any, to, took};
use crate::admin::place::At;
use crate::api::{Problem, Signing, TestBody, pinged};
use crate::domain::keys::Scope;
use crate::store::endpoints::{Change, Changed, Endpoint};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::admin) enum EndpointAct {
    Test,
    Rotate,
    Disable,
    Enable,
}

impl EndpointAct {
    /// The title of the question, what follows, and what the button says.
    const fn told(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Test => ("Send a test?", "A signed ping is sent to it now, once.", "Send the test"),
            Self::Rotate => (
                "Rotate the secret?",
                "It gets a new secret, which is shown once. For 24 hours every webhook is signed with the old one, too.",
                "Rotate the secret",
            ),
            Self::Disable => (
                "Disable the endpoint?",
                "It is sent nothing more, and what waits for it is given up. Each delivery can be sent again by hand.",
                "Disable the endpoint",
            ),
            Self::Enable => {
                ("Enable the endpoint?", "What happens from now on is sent to it.", "Enable the endpoint")
            }
        }
    }
}

pub(in crate::admin) async fn ask(
    State(desk): State<Desk>,
    visitor: Visitor,
    At((id, act)): At<(Uuid, EndpointAct)>,
) -> Result<Page, Problem> {
    let endpoint = read(&desk, &visitor, id).await?;
    let (title, follows, button) = act.told();
    let what = html! { p { strong { (endpoint.url) } } p { (follows) } };
    let is_danger = act == EndpointAct::Disable;
    let body = question(&visitor, &what, button, is_danger, &format!("/admin/webhooks/endpoints/{id}"));
    Ok(layout::page(Some(&visitor), title, &body))
}

pub(in crate::admin) async fn act(
    State(desk): State<Desk>,
    visitor: Visitor,
    At((id, act)): At<(Uuid, EndpointAct)>,
    request: Request,
) -> Result<Response, Problem> {
    visitor.must(Scope::WebhooksWrite)?;
    let Checked(Nothing {}) = Checked::from_request(request, &()).await?;
    match act {
        EndpointAct::Test => {
            let came = pinged(&desk.api, &visitor.caller.reach, id).await?;
            let page = layout::page(Some(&visitor), "Test", &told(id, &came));
            Ok(page.into_response())
        }
        EndpointAct::Rotate => {
            let fresh = (desk.api.hooks.new_secret)(Signing::Hmac);
            let endpoint = change(&desk, &visitor, id, Changed::Secret(fresh.into())).await?;
            Ok(layout::page(Some(&visitor), "The secret is rotated", &secret(&endpoint)).into_response())
        }
        EndpointAct::Disable | EndpointAct::Enable => {
            let enabled = Some(act == EndpointAct::Enable);
            let only = Change { enabled, ..Change::default() };
            change(&desk, &visitor, id, Changed::To(only)).await?;
            Ok(to(&format!("/admin/webhooks/endpoints/{id}")))
        }
    }
}

async fn change(desk: &Desk, visitor: &Visitor, id: Uuid, changed: Changed) -> Result<Endpoint, Problem> {
    let endpoint =
        desk.api.store.change_endpoint(&visitor.caller.reach, id, &changed, visitor.by(None)).await?;
    endpoint.ok_or_else(|| Problem::not_found("endpoint"))
}

fn told(id: Uuid, came: &TestBody) -> Markup {
    let status = came.status.map(|status| status.to_string());
    let rows = [
        ("Status", text_if_any(status.as_deref())),
        ("Time", html! { (took(came.latency_seconds)) }),
        ("Answer", html! { @if let Some(text) = &came.response { pre { (text) } } }),
        ("Error", text_if_any(came.error.as_deref())),
    ];
    html! {
        @if came.delivered { p.notice.good { "It was delivered." } } @else { p.notice.bad { "The receiver did not take it." } }
        (facts(&rows))
        p { a.button href={ "/admin/webhooks/endpoints/" (id) } { "Back to the endpoint" } }
    }
}
