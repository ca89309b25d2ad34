//! What was sent, or is to be: newest first.

use axum::extract::State;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use crate::admin::Desk;
use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{ROWS, next_page, none, path, text_if_any, time, words};
use crate::admin::place::Asked;
use crate::api::Problem;
use crate::domain::keys::Scope;
use crate::domain::state::DeliveryState;
use crate::store::deliveries::list::Wanted;
use crate::store::deliveries::read::DeliveryRow;

#[derive(Debug, Deserialize)]
pub(in crate::admin) struct Filter {
    state: Option<DeliveryState>,
    endpoint: Option<String>,
    purge: Option<Uuid>,
    /// The place of the last one of the page before.
    before: Option<Timestamp>,
    id: Option<Uuid>,
}

pub(in crate::admin) async fn page(
    State(desk): State<Desk>,
    visitor: Visitor,
    Asked(filter): Asked<Filter>,
) -> Result<Page, Problem> {
    visitor.must(Scope::WebhooksWrite)?;
    let Filter { state, endpoint, purge, before, id } = filter;
    let wanted = Wanted { state, endpoint: endpoint.clone(), purge, since: None };
    let place = before.zip(id);
    let (sent, next) = desk.api.store.list_deliveries(&visitor.caller.reach, &wanted, place, ROWS).await?;
    let endpoint = endpoint.unwrap_or_default();
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let next = next.map(|(before, id)| {
        let query = [
            ("state", state.map(DeliveryState::as_str).unwrap_or_default()),
            ("endpoint", &endpoint),
            ("purge", &text(purge)),
            ("before", &before.to_string()),
            ("id", &id.to_string()),
        ];
        path("/admin/webhooks/deliveries", &query)
    });
    let body = html! {
        p { a href="/admin/webhooks" { "Endpoints" } }
        form.filter.card method="get" {
            div { label for="state" { "State" } select #state name="state" {
                option value="" { "Any" }
                @for known in DeliveryState::ALL { option value=(known) selected[state == Some(*known)] { (known) } }
            } }
            div { label for="endpoint" { "Endpoint" } input #endpoint name="endpoint" value=(endpoint) placeholder="its id, or retention"; }
            div { label for="purge" { "Purge" } input #purge name="purge" value=(text(purge)) placeholder="its id"; }
            div.end { button type="submit" { "Filter" } a.button href="/admin/webhooks/deliveries" { "Clear" } }
        }
        (table(&sent))
        (next_page(next.as_deref()))
    };
    Ok(layout::page(Some(&visitor), "Webhook deliveries", &body))
}

/// A row each.
pub(super) fn table(sent: &[DeliveryRow]) -> Markup {
    html! {
        @if sent.is_empty() { p { "No deliveries." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Deliveries" { table.stacked {
                thead { tr {
                    th scope="col" { "Event" } th scope="col" { "State" } th scope="col" { "Endpoint" } th.number scope="col" { "Attempts" }
                    th scope="col" { "Last error" } th scope="col" { "Created" }
                } }
                tbody { @for row in sent { tr {
                    td data-name="Event" {
                        a href={ "/admin/webhooks/deliveries/" (row.id) } { (words(row.event.as_str())) }
                        @if let Some(purge) = row.purge { " " a.of href={ "/admin/purges/" (purge) } { "of " (purge) } }
                    }
                    td data-name="State" { (state(row.state)) }
                    td data-name="Endpoint" { (endpoint(row)) }
                    td.number data-name="Attempts" { (row.attempt) }
                    td.text data-name="Last error" { @if row.state == DeliveryState::Delivered { (none()) } @else { (text_if_any(row.last_error.as_deref())) } }
                    td data-name="Created" { (time(row.created_at)) }
                } } }
            } }
        }
    }
}

pub(super) fn endpoint(row: &DeliveryRow) -> Markup {
    html! {
        @if Uuid::try_parse(&row.endpoint).is_ok() {
            a href={ "/admin/webhooks/endpoints/" (row.endpoint) } { (row.endpoint) }
        } @else { "operator's receiver" }
    }
}

pub(super) fn state(state: DeliveryState) -> Markup {
    let color = match state {
        DeliveryState::Delivered => "completed",
        DeliveryState::Pending => "running",
        DeliveryState::Dead => "failed",
    };
    html! { span.state.(color) { (state) } }
}
