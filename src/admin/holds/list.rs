//! Holds, newest first.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use crate::admin::Desk;
use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{ROWS, next_page, number, path, time};
use crate::admin::place::Asked;
use crate::api::Problem;
use crate::domain::keys::Scope;
use crate::store::holds::read::Hold;

#[derive(Debug, Deserialize)]
pub(in crate::admin) struct From {
    before: Option<Uuid>,
}

pub(in crate::admin) async fn page(
    State(desk): State<Desk>,
    visitor: Visitor,
    Asked(from): Asked<From>,
) -> Result<Page, Problem> {
    visitor.must(Scope::PurgesRead)?;
    let fetched = i64::try_from(ROWS + 1).unwrap_or(i64::MAX);
    let mut holds = desk.api.store.holds(&visitor.caller.reach, from.before, fetched).await?;
    let has_more = holds.len() > ROWS;
    holds.truncate(ROWS);
    let next = holds
        .last()
        .filter(|_| has_more)
        .map(|last| path("/admin/holds", &[("before", &last.id.to_string())]));
    let body = html! {
        @if visitor.may(Scope::HoldsWrite) { p { a.button.primary href="/admin/holds/new" { "New hold" } } }
        @if holds.is_empty() { p { "No holds." } } @else { (table(&holds)) }
        (next_page(next.as_deref()))
    };
    Ok(layout::page(Some(&visitor), "Legal holds", &body))
}

/// Holds, a row each.
pub(in crate::admin) fn table(holds: &[Hold]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Holds" { table.stacked {
            thead { tr {
                th scope="col" { "Matter" } th scope="col" { "State" } th.number scope="col" { "Conversations" } th scope="col" { "Orgs" }
                th scope="col" { "Created by" } th scope="col" { "Created" }
            } }
            tbody { @for hold in holds { tr {
                td data-name="Matter" { a href={ "/admin/holds/" (hold.id) } { (hold.matter) } }
                td data-name="State" { (state(hold)) }
                td.number data-name="Conversations" { (number(hold.conversations.into())) }
                td data-name="Orgs" { (hold.orgs.join(", ")) }
                td data-name="Created by" { (hold.created_by) }
                td data-name="Created" { (time(hold.created_at)) }
            } } }
        } }
    }
}

pub(super) fn state(hold: &Hold) -> Markup {
    html! { @if hold.is_active { span.state.held { "in force" } } @else { span.state.canceled { "released" } } }
}
