//! One conversation: everything that this service ever did about it.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::gate::Visitor;
use super::layout::{self, Page};
use super::parts::{ROWS, next_page, none, path, time, to, words};
use super::place::{Asked, At};
use super::purges::conversations::protection as protected_by;
use super::{Desk, holds};
use crate::api::Problem;
use crate::domain::keys::Scope;
use crate::store::views::conversation::ConversationInPurge;

#[derive(Debug, Deserialize)]
pub(super) struct Search {
    id: Option<String>,
}

/// How far both lists were shown.
#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    purge: Option<Uuid>,
    hold: Option<Uuid>,
}

pub(super) async fn search(visitor: Visitor, Asked(search): Asked<Search>) -> Result<Response, Problem> {
    visitor.must(Scope::PurgesRead)?;
    let sought = search.id.as_deref().map(str::trim);
    if let Some(id) = sought.and_then(|id| Uuid::try_parse(id).ok()) {
        return Ok(to(&format!("/admin/conversations/{id}")));
    }
    let body = html! {
        form.filter.card method="get" role="search" {
            div.grow { label for="id" { "Conversation id" } input #id name="id" value=[sought] required spellcheck="false"; }
            div.end { button.primary type="submit" { "Find" } }
        }
        @if sought.is_some() { p.notice.bad role="alert" { "That is not a conversation id: it must be a UUID." } }
    };
    Ok(layout::page(Some(&visitor), "Find a conversation", &body).into_response())
}

pub(super) async fn page(
    State(desk): State<Desk>,
    visitor: Visitor,
    At(id): At<Uuid>,
    Asked(shown): Asked<Shown>,
) -> Result<Page, Problem> {
    visitor.must(Scope::PurgesRead)?;
    let (store, reach) = (&desk.api.store, &visitor.caller.reach);
    let fetched = i64::try_from(ROWS + 1).unwrap_or(i64::MAX);
    let mut purges = store.conversation(reach, id, shown.purge, fetched).await?;
    let mut held = store.holds_on(reach, id, shown.hold, fetched).await?;
    let has_more = purges.len() > ROWS || held.len() > ROWS;
    purges.truncate(ROWS);
    held.truncate(ROWS);
    let last = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let purge = last(purges.last().map(|last| last.purge).or(shown.purge));
    let hold = last(held.last().map(|last| last.id).or(shown.hold));
    let here = format!("/admin/conversations/{id}");
    let next = has_more.then(|| path(&here, &[("purge", &purge), ("hold", &hold)]));
    let body = html! {
        p { code { (id) } }
        @if purges.is_empty() && held.is_empty() {
            p { "No purge and no hold that your key reaches names this conversation." }
        }
        @if !held.is_empty() { h2 { "Holds" } (holds::list::table(&held)) }
        @if !purges.is_empty() { h2 { "Purges, oldest first" } }
        @for purge in &purges { (in_purge(purge)) }
        (next_page(next.as_deref()))
    };
    Ok(layout::page(Some(&visitor), "Conversation", &body))
}

fn in_purge(purge: &ConversationInPurge) -> Markup {
    html! {
        section.card {
            h3 { a href={ "/admin/purges/" (purge.purge) } { @match &purge.reference { Some(reference) => (reference), None => (purge.purge) } } }
            p {
                strong { (words(purge.outcome.as_str())) } " · org " (purge.org) " · accepted " (time(purge.accepted_at))
                " · requested by " (purge.requested_by)
            }
            @if let Some(reason) = &purge.reason { p { "Reason: " (reason) } }
            @if let Some(protection) = &purge.protection { p { "Protected by " (protected_by(protection)) } }
            @if purge.decisions.is_empty() { p { "Nothing was decided yet." } }
            ol.timeline {
                @for decision in &purge.decisions {
                    li {
                        (time(decision.at)) " " (words(decision.from.as_str())) " → " strong { (words(decision.to.as_str())) }
                        " by " (words(&decision.step))
                        @if let Some(code) = &decision.code { ": " (words(code)) }
                        @if let Some(detail) = &decision.detail { " (" (detail) ")" }
                        " " @match (&decision.upstream_job_id, decision.job) {
                            (Some(job), _) => { "job " code { (job) } }
                            (None, Some(job)) => { "our job " code { (job) } }
                            (None, None) => {}
                        }
                    }
                }
                @if purge.decisions.is_empty() { li { (none()) } }
            }
        }
    }
}
