//! Purges, newest first, by state, org, reference and label.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{ROWS, next_page, none, number, path, state, time, words};
use crate::admin::place::Asked;
use crate::admin::{Desk, outcomes};
use crate::api::Problem;
use crate::domain::keys::Scope;
use crate::domain::state::PurgeState;
use crate::store::purges::list::Wanted;
use crate::store::purges::load::Purge;

#[derive(Debug, Default, Deserialize)]
pub(in crate::admin) struct Filter {
    state: Option<PurgeState>,
    org: Option<String>,
    reference: Option<String>,
    /// `key:value`.
    label: Option<String>,
    before: Option<Uuid>,
}

pub(in crate::admin) async fn page(
    State(desk): State<Desk>,
    visitor: Visitor,
    Asked(filter): Asked<Filter>,
) -> Result<Page, Problem> {
    visitor.must(Scope::PurgesRead)?;
    let label = match &filter.label {
        Some(label) => {
            let parts = label.split_once(':').filter(|(key, _)| !key.is_empty());
            let wrong = || Problem::invalid_field("/label", "a label is written key:value");
            Some(parts.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(wrong)?)
        }
        None => None,
    };
    let has_nul = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
    let (purges, next) = if [&filter.org, &filter.reference, &filter.label].into_iter().any(has_nul) {
        (Vec::new(), None)
    } else {
        let reach = &visitor.caller.reach;
        let reach = filter.org.as_ref().map_or_else(|| reach.clone(), |org| reach.within(org));
        let wanted = Wanted { state: filter.state, reference: filter.reference.clone(), label };
        desk.api.store.list_purges(&reach, &wanted, filter.before, ROWS).await?
    };
    let next = next.map(|next| filter.path(Some(next)));
    let body = html! {
        @if visitor.may(Scope::PurgesWrite) { p { a.button.primary href="/admin/purges/new" { "New purge" } } }
        (filter.form(&desk, &visitor))
        (table(&purges))
        (next_page(next.as_deref()))
    };
    Ok(layout::page(Some(&visitor), "Purges", &body))
}

impl Filter {
    fn path(&self, before: Option<Uuid>) -> String {
        let before = before.map(|before| before.to_string()).unwrap_or_default();
        let query = [
            ("state", self.state.map(PurgeState::as_str).unwrap_or_default()),
            ("org", self.org.as_deref().unwrap_or_default()),
            ("reference", self.reference.as_deref().unwrap_or_default()),
            ("label", self.label.as_deref().unwrap_or_default()),
            ("before", &before),
        ];
        path("/admin/purges", &query)
    }

    fn form(&self, desk: &Desk, visitor: &Visitor) -> Markup {
        let orgs = desk.api.orgs.iter().filter(|org| visitor.caller.reach.covers(&org.name));
        html! {
            form.filter.card method="get" {
                div { label for="state" { "State" } select #state name="state" {
                    option value="" { "Any" }
                    @for state in PurgeState::ALL {
                        option value=(state) selected[self.state == Some(*state)] { (words(state.as_str())) }
                    }
                } }
                div { label for="org" { "Org" } select #org name="org" {
                    option value="" { "Any" }
                    @for org in orgs { option selected[self.org.as_deref() == Some(&org.name)] { (org.name) } }
                } }
                div { label for="reference" { "Reference" } input #reference name="reference" value=[&self.reference]; }
                div { label for="label" { "Label" } input #label name="label" value=[&self.label] placeholder="key:value"; }
                div.end { button type="submit" { "Filter" } a.button href="/admin/purges" { "Clear" } }
            }
        }
    }
}

/// Purges, a row each.
fn table(purges: &[Purge]) -> Markup {
    html! {
        @if purges.is_empty() { p { "No purges." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Purges" { table.stacked {
                thead { tr {
                    th scope="col" { "Purge" } th scope="col" { "State" } th scope="col" { "Outcomes" }
                    th.number scope="col" { "Conversations" } th scope="col" { "Org" } th scope="col" { "Requested by" } th scope="col" { "Accepted" }
                } }
                tbody { @for purge in purges { (row(purge)) } }
            } }
        }
    }
}

fn row(purge: &Purge) -> Markup {
    let labels = purge.labels.as_object();
    html! {
        tr {
            td data-name="Purge" {
                a href={ "/admin/purges/" (purge.id) } { (super::name(purge)) }
                @for (key, value) in labels.into_iter().flatten() {
                    " " span.label { (key) ":" (value.as_str().unwrap_or_default()) }
                }
            }
            td data-name="State" { (state(purge.state, purge.is_dry_run)) @if purge.blocked.is_some() { " " span.state.failed { "waiting" } } }
            td.wide data-name="Outcomes" { @if purge.counts.total > 0 { (outcomes::strip(&purge.counts)) } @else { (none()) } }
            td.number data-name="Conversations" { (number(purge.counts.total)) }
            td data-name="Org" { (purge.org) }
            td data-name="Requested by" { (purge.requested_by) }
            td data-name="Accepted" { (time(purge.created_at)) }
        }
    }
}
