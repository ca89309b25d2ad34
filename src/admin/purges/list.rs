//! Purges, newest first, by state, org, reference, label, requester and time.

use axum::extract::State;
use axum::http::header::CONTENT_DISPOSITION;
use axum::http::{HeaderValue, Version};
use axum::response::Response;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{ROWS, next_page, none, number, path, state, time, words};
use crate::admin::place::Asked;
use crate::admin::{Desk, outcomes};
use crate::api::{KeyId, Problem, all};
use crate::domain::keys::{Reach, Scope};
use crate::domain::state::PurgeState;
use crate::store::purges::list::{Place, Wanted};
use crate::store::purges::load::Purge;

#[derive(Debug, Default, Deserialize)]
pub(in crate::admin) struct Filter {
    state: Option<PurgeState>,
    org: Option<String>,
    reference: Option<String>,
    /// `key:value`.
    label: Option<String>,
    by: Option<String>,
    /// Times as browsers send them, in UTC.
    from: Option<String>,
    until: Option<String>,
    ended: Option<String>,
    /// Where the page before ended.
    after: Option<String>,
}

pub(in crate::admin) async fn page(
    State(desk): State<Desk>,
    visitor: Visitor,
    Asked(filter): Asked<Filter>,
) -> Result<Page, Problem> {
    visitor.must(Scope::PurgesRead)?;
    let (purges, next) = match filter.wanted(&visitor)? {
        None => (Vec::new(), None),
        Some((reach, wanted)) => {
            let after = filter.after.as_deref().map(place).transpose()?;
            desk.api.store.list_purges(&reach, &wanted, after, ROWS).await?
        }
    };
    let next = next.map(|next| filter.path("/admin/purges", &written(next)));
    let body = html! {
        @if visitor.may(Scope::PurgesWrite) { p { a.button.primary href="/admin/purges/new" { "New purge" } } }
        (filter.form(&desk, &visitor))
        (table(&purges))
        (next_page(next.as_deref()))
        @if !purges.is_empty() { p { a href=(filter.path("/admin/purges.csv", "")) { "Download all of these (CSV)" } } }
    };
    Ok(layout::page(Some(&visitor), "Purges", &body))
}

/// The list as a file.
pub(in crate::admin) async fn csv(
    State(desk): State<Desk>,
    visitor: Visitor,
    Asked(filter): Asked<Filter>,
    version: Version,
) -> Result<Response, Problem> {
    visitor.must(Scope::PurgesRead)?;
    let mut response = all(&desk.api, KeyId(visitor.key_id), filter.wanted(&visitor)?, version)?;
    let name = HeaderValue::from_static("attachment; filename=\"purges.csv\"");
    response.headers_mut().insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

/// A time as a browser's field has it, in UTC, or a whole one.
fn time_of(field: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text.map(str::trim) else { return Ok(None) };
    let local = || {
        let local = text.parse::<DateTime>().ok()?;
        Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    let at = text.parse().ok().or_else(local);
    let wrong =
        || Problem::invalid_field(&format!("/{field}"), "expected a time such as 2026-11-25T12:00, in UTC");
    // Postgres knows fewer years than callers, and nothing is as old.
    at.map(|at: Timestamp| Some(at.max(Timestamp::UNIX_EPOCH))).ok_or_else(wrong)
}

/// A place in the list, within an address.
fn written(place: Place) -> String {
    match place {
        Place::Id(id) => id.to_string(),
        Place::At(at, id) => format!("{at}_{id}"),
    }
}

fn place(text: &str) -> Result<Place, Problem> {
    let read = match text.split_once('_') {
        None => Uuid::try_parse(text).ok().map(Place::Id),
        Some((at, id)) => at.parse().ok().zip(Uuid::try_parse(id).ok()).map(|(at, id)| Place::At(at, id)),
    };
    read.ok_or_else(|| {
        Problem::invalid_field("/after", "this page of the list is not there; begin with the first")
    })
}

impl Filter {
    /// What the store is asked for; `None` where nothing can be found.
    fn wanted(&self, visitor: &Visitor) -> Result<Option<(Reach, Wanted)>, Problem> {
        let label = match &self.label {
            Some(label) => {
                let parts = label.split_once(':').filter(|(key, _)| !key.is_empty());
                let wrong = || Problem::invalid_field("/label", "a label is written key:value");
                Some(parts.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(wrong)?)
            }
            None => None,
        };
        let wanted = Wanted {
            state: self.state,
            reference: self.reference.clone(),
            label,
            requested_by: self.by.clone(),
            created_after: time_of("from", self.from.as_deref())?,
            created_before: time_of("until", self.until.as_deref())?,
            finished_after: time_of("ended", self.ended.as_deref())?,
        };
        let has_nul = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
        if [&self.org, &self.reference, &self.label, &self.by].into_iter().any(has_nul) {
            return Ok(None);
        }
        let reach = &visitor.caller.reach;
        Ok(Some((self.org.as_ref().map_or_else(|| reach.clone(), |org| reach.within(org)), wanted)))
    }

    fn path(&self, base: &str, after: &str) -> String {
        let texts = [
            ("org", &self.org),
            ("reference", &self.reference),
            ("label", &self.label),
            ("by", &self.by),
            ("from", &self.from),
            ("until", &self.until),
            ("ended", &self.ended),
        ];
        let mut query = vec![("state", self.state.map(PurgeState::as_str).unwrap_or_default())];
        query.extend(texts.map(|(name, text)| (name, text.as_deref().unwrap_or_default())));
        query.push(("after", after));
        path(base, &query)
    }

    fn form(&self, desk: &Desk, visitor: &Visitor) -> Markup {
        let orgs = desk.api.orgs.iter().filter(|org| visitor.caller.reach.covers(&org.name));
        let times = [
            ("from", "Accepted from (UTC)", &self.from),
            ("until", "Accepted before (UTC)", &self.until),
            ("ended", "Ended since (UTC)", &self.ended),
        ];
        let has_more = [&self.label, &self.from, &self.until, &self.ended].into_iter().any(Option::is_some);
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
                div { label for="by" { "Requested by" } input #by name="by" value=[&self.by]; }
                details open[has_more] {
                    summary { "Label and times" }
                    div.filter {
                        div { label for="label" { "Label" } input #label name="label" value=[&self.label] placeholder="key:value"; }
                        @for (name, text, value) in times {
                            div { label for=(name) { (text) } input id=(name) name=(name) type="datetime-local" value=[value]; }
                        }
                    }
                }
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
            td data-name="Accepted" {
                (time(purge.created_at))
                @if let Some(at) = purge.finished_at { br; span.hint { "ended " (time(at)) } }
            }
        }
    }
}
