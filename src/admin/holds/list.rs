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
use crate::store::holds::list::Wanted;
use crate::store::holds::read::Hold;

#[derive(Debug, Deserialize)]
pub(in crate::admin) struct Filter {
    /// `in_force` or `released`.
    state: Option<HoldState>,
    conversation: Option<String>,
    before: Option<Uuid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum HoldState {
    InForce,
    Released,
}

impl HoldState {
    const ALL: [(Self, &'static str, &'static str); 2] =
        [(Self::InForce, "in_force", "in force"), (Self::Released, "released", "released")];
}

impl Filter {
    fn wanted(&self) -> Result<Wanted, Problem> {
        let wrong = || Problem::invalid_field("/conversation", "a conversation id must be a UUID");
        let conversation = self.conversation.as_deref().map(str::trim);
        let conversation = conversation.map(|id| Uuid::try_parse(id).map_err(|_| wrong())).transpose()?;
        Ok(Wanted { conversation, is_active: self.state.map(|state| state == HoldState::InForce) })
    }

    fn path(&self, before: Uuid) -> String {
        let state = HoldState::ALL.iter().find(|(state, ..)| self.state == Some(*state));
        let query = [
            ("state", state.map(|(_, name, _)| *name).unwrap_or_default()),
            ("conversation", self.conversation.as_deref().unwrap_or_default()),
            ("before", &before.to_string()),
        ];
        path("/admin/holds", &query)
    }

    fn form(&self) -> Markup {
        html! {
            form.filter.card method="get" {
                div { label for="state" { "State" } select #state name="state" {
                    option value="" { "Any" }
                    @for (state, name, text) in HoldState::ALL {
                        option value=(name) selected[self.state == Some(state)] { (text) }
                    }
                } }
                div.grow { label for="conversation" { "Conversation id" } input #conversation name="conversation" value=[&self.conversation] spellcheck="false"; }
                div.end { button type="submit" { "Filter" } a.button href="/admin/holds" { "Clear" } }
            }
        }
    }
}

pub(in crate::admin) async fn page(
    State(desk): State<Desk>,
    visitor: Visitor,
    Asked(filter): Asked<Filter>,
) -> Result<Page, Problem> {
    visitor.must(Scope::PurgesRead)?;
    let fetched = i64::try_from(ROWS + 1).unwrap_or(i64::MAX);
    let mut holds =
        desk.api.store.holds(&visitor.caller.reach, filter.wanted()?, filter.before, fetched).await?;
    let has_more = holds.len() > ROWS;
    holds.truncate(ROWS);
    let next = holds.last().filter(|_| has_more).map(|last| filter.path(last.id));
    let body = html! {
        @if visitor.may(Scope::HoldsWrite) { p { a.button.primary href="/admin/holds/new" { "New hold" } } }
        (filter.form())
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
