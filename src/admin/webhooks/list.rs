//! The registered endpoints.

use axum::extract::State;
use maud::{Markup, html};

use crate::admin::Desk;
use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{counted, text_if_any, words};
use crate::api::Problem;
use crate::domain::keys::Scope;
use crate::store::endpoints::{Endpoint, MOST};

pub(in crate::admin) async fn page(State(desk): State<Desk>, visitor: Visitor) -> Result<Page, Problem> {
    visitor.must(Scope::WebhooksWrite)?;
    let endpoints = desk.api.store.endpoints(&visitor.caller.reach, None, MOST).await?;
    let body = html! {
        p.buttons {
            a.button.primary href="/admin/webhooks/new" { "New endpoint" }
            a.button href="/admin/webhooks/deliveries" { "Deliveries" }
            a.button href="/admin/webhooks/deliveries?state=dead" { "Dead deliveries" }
        }
        h2 { "Endpoints" }
        @if endpoints.is_empty() {
            p { "No endpoint is registered. The operator's own receiver is set with " code { "RETENTION_WEBHOOK_URL" } "." }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Endpoints" { table.stacked {
                thead { tr {
                    th scope="col" { "Address" } th scope="col" { "State" } th scope="col" { "Events" } th scope="col" { "Orgs" } th scope="col" { "Description" }
                } }
                tbody { @for endpoint in &endpoints { (row(endpoint)) } }
            } }
        }
    };
    Ok(layout::page(Some(&visitor), "Webhooks", &body))
}

fn row(endpoint: &Endpoint) -> Markup {
    html! {
        tr {
            td data-name="Address" { a href={ "/admin/webhooks/endpoints/" (endpoint.id) } { (endpoint.url) } }
            td data-name="State" { (state(endpoint)) }
            td data-name="Events" { (events(endpoint)) }
            td data-name="Orgs" { (orgs(endpoint)) }
            td data-name="Description" { (text_if_any(endpoint.description.as_deref())) }
        }
    }
}

pub(super) fn state(endpoint: &Endpoint) -> Markup {
    html! {
        @if !endpoint.enabled { span.state.canceled { "disabled" } }
        @else if endpoint.failures > 0 { span.state.failed { (counted(endpoint.failures.into(), "failure", "failures")) } }
        @else { span.state.completed { "enabled" } }
    }
}

pub(super) fn events(endpoint: &Endpoint) -> Markup {
    html! {
        @match &endpoint.interest.events {
            Some(events) => (events.iter().map(|event| words(event.as_str())).collect::<Vec<_>>().join(", ")),
            None => "all",
        }
    }
}

pub(super) fn orgs(endpoint: &Endpoint) -> Markup {
    html! { @match &endpoint.interest.orgs { Some(orgs) => (orgs.join(", ")), None => "all" } }
}
