//! A new endpoint. Its secret is shown once, on the page that answers.

use std::collections::BTreeMap;

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

/// The fields; each event and org that was chosen is there under a name of its own.
#[derive(Debug, Deserialize)]
pub(in crate::admin) struct New {
    #[serde(default)]
    url: String,
    description: Option<String>,
    #[serde(flatten)]
    chosen: BTreeMap<String, String>,
}

/// How the names of chosen events and orgs begin.
const EVENT: &str = "event:";
const ORG: &str = "org:";

impl New {
    /// What was chosen of a kind; `None` where nothing was, which is all of it.
    fn chosen(&self, kind: &str) -> Option<Vec<String>> {
        let chosen: Vec<String> =
            self.chosen.keys().filter_map(|name| Some(name.strip_prefix(kind)?.to_owned())).collect();
        Some(chosen).filter(|chosen| !chosen.is_empty())
    }

    fn events(&self) -> Result<Option<Vec<Told>>, Problem> {
        let read = |name: &String| {
            Told::ALL
                .iter()
                .find(|event| event.as_str() == name)
                .copied()
                .ok_or_else(|| Problem::invalid_field("/events", format!("there is no event {name:?}")))
        };
        self.chosen(EVENT).map(|names| names.iter().map(read).collect()).transpose()
    }
}

/// Boxes of which several may be chosen.
fn boxes(title: &str, kind: &str, choices: &[(&str, String)]) -> Markup {
    html! {
        fieldset.field {
            legend { (title) }
            p.hint { "None chosen: all of them." }
            div.boxes {
                @for (value, text) in choices {
                    label { input type="checkbox" name={ (kind) (value) } value="yes"; " " (text) }
                }
            }
        }
    }
}

pub(in crate::admin) async fn page(State(desk): State<Desk>, visitor: Visitor) -> Result<Page, Problem> {
    visitor.must(Scope::WebhooksWrite)?;
    let events: Vec<_> = Told::ALL.iter().map(|event| (event.as_str(), words(event.as_str()))).collect();
    let orgs = desk.api.orgs.iter().filter(|org| visitor.caller.reach.covers(&org.name));
    let orgs: Vec<_> = orgs.map(|org| (org.name.as_str(), org.name.clone())).collect();
    let body = html! {
        form.card method="post" {
            (token(&visitor))
            div.field { label for="url" { "Address" } input #url name="url" type="url" required placeholder="https://"; }
            div.field { label for="description" { "Description (optional)" } input #description name="description" maxlength="200"; }
            (boxes("Events", EVENT, &events))
            (boxes("Orgs that your key reaches", ORG, &orgs))
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
        events: new.events()?,
        orgs: new.chosen(ORG),
        description: new.description,
        enabled: true,
        signing: None,
        secret: None,
    };
    let endpoint = register(&desk.api, &visitor.caller, visitor.by(None), body).await?;
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
