//! A new endpoint. Its secret is shown once, on the page that answers.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::admin::Desk;
use crate::admin::form::Checked;
use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{token, words};
use crate::api::{NewEndpointBody, Problem, register};
use crate::domain::endpoints::Told;
use crate::domain::keys::Scope;
use crate::store::endpoints::Endpoint;

/// The fields; each event that was chosen is there under its own name.
#[derive(Debug, Deserialize)]
pub(in crate::admin) struct New {
    #[serde(default)]
    url: String,
    description: Option<String>,
    org: Option<String>,
    event: Option<Told>,
}

pub(in crate::admin) async fn page(State(desk): State<Desk>, visitor: Visitor) -> Result<Page, Problem> {
    visitor.must(Scope::WebhooksWrite)?;
    let orgs: Vec<_> = desk.api.orgs.iter().filter(|org| visitor.caller.reach.covers(&org.name)).collect();
    let body = html! {
        form.card method="post" {
            (token(&visitor))
            div.field { label for="url" { "Address" } input #url name="url" type="url" required placeholder="https://"; }
            div.field { label for="description" { "Description (optional)" } input #description name="description" maxlength="200"; }
            div.field { label for="event" { "Event" } select #event name="event" {
                option value="" { "All events" }
                @for event in Told::ALL { option value=(event) { (words(event.as_str())) } }
            } }
            div.field { label for="org" { "Org" } select #org name="org" {
                option value="" { "Every org that your key reaches" }
                @for org in &orgs { option { (org.name) } }
            } }
            p.hint { "For several events or orgs use POST /webhook-endpoints." }
            p.buttons { button.primary type="submit" { "Create the endpoint" } a.button href="/admin/webhooks" { "Back" } }
        }
    };
    Ok(layout::page(Some(&visitor), "New webhook endpoint", &body))
}

pub(in crate::admin) async fn create(
    State(desk): State<Desk>,
    visitor: Visitor,
    Checked(new): Checked<New>,
) -> Result<Response, Problem> {
    visitor.must(Scope::WebhooksWrite)?;
    let body = NewEndpointBody {
        url: new.url.trim().to_owned(),
        description: new.description,
        events: new.event.map(|event| vec![event]),
        orgs: new.org.map(|org| vec![org]),
        enabled: true,
        signing: None,
        secret: None,
    };
    let endpoint = register(&desk.api, &visitor.caller, visitor.by(), body).await?;
    Ok(layout::page(Some(&visitor), "The endpoint is registered", &secret(&endpoint)).into_response())
}

/// What the receiver checks signatures with.
pub(super) fn secret(endpoint: &Endpoint) -> Markup {
    html! {
        p { "Put this secret into the receiver at " strong { (endpoint.url) } ". It is shown this once." }
        p.secret { code { (endpoint.secret.expose_secret()) } }
        p { a.button href={ "/admin/webhooks/endpoints/" (endpoint.id) } { "Go on" } }
    }
}
