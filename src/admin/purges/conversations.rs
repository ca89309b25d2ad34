//! The conversations of a purge, in the order of the request.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::{name, read};
use crate::admin::Desk;
use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{ROWS, next_page, none, path, time, words};
use crate::admin::place::{Asked, At};
use crate::api::Problem;
use crate::domain::outcome::Outcome;
use crate::store::holds::protecting::{MOST, Protection};
use crate::store::views::conversations::ConversationRow;

#[derive(Debug, Deserialize)]
pub(in crate::admin) struct Filter {
    outcome: Option<Outcome>,
    after: Option<i32>,
}

/// How a list of conversations is shown.
pub(super) struct Looks<'a> {
    pub(super) name: &'a str,
    /// They do not have one outcome alone.
    pub(super) has_outcome: bool,
}

pub(in crate::admin) async fn page(
    State(desk): State<Desk>,
    visitor: Visitor,
    At(id): At<Uuid>,
    Asked(filter): Asked<Filter>,
) -> Result<Page, Problem> {
    let purge = read(&desk, &visitor, id).await?;
    let (store, reach) = (&desk.api.store, &visitor.caller.reach);
    let page = store.conversations(reach, id, filter.outcome, filter.after, ROWS).await?;
    let (list, next) = page.ok_or_else(|| Problem::not_found("purge"))?;
    let here = format!("/admin/purges/{id}/conversations");
    let outcome = filter.outcome.map(Outcome::as_str).unwrap_or_default();
    let next = next.map(|next| path(&here, &[("outcome", outcome), ("after", &next.to_string())]));
    let looks = Looks { name: "Conversations", has_outcome: true };
    let body = html! {
        p { a href={ "/admin/purges/" (id) } { "Back to the purge" } }
        form.filter.card method="get" action=(here) {
            div { label for="outcome" { "Outcome" } select #outcome name="outcome" {
                option value="" { "Any" }
                @for known in Outcome::ALL {
                    option value=(known) selected[filter.outcome == Some(*known)] { (words(known.as_str())) }
                }
            } }
            div.end { button type="submit" { "Filter" } }
        }
        @if list.is_empty() { p { @if next.is_some() { "None among these; the next page goes on." } @else { "None." } } }
        @else { (rows(&list, &looks)) }
        (next_page(next.as_deref()))
    };
    Ok(layout::page(Some(&visitor), &format!("Conversations of {}", name(&purge)), &body))
}

/// A row each.
pub(super) fn rows(list: &[ConversationRow], looks: &Looks<'_>) -> Markup {
    let has_job = list.iter().any(|row| row.upstream_job_id.is_some());
    html! {
        div.scroll tabindex="0" role="region" aria-label=(looks.name) { table.stacked {
            thead { tr {
                th scope="col" { "Conversation" }
                @if looks.has_outcome { th scope="col" { "Outcome" } }
                th scope="col" { "Why" }
                @if has_job { th scope="col" { "Upstream job" } }
                th scope="col" { "Decided" }
            } }
            tbody { @for row in list { (self::row(row, looks, has_job)) } }
        } }
    }
}

fn row(row: &ConversationRow, looks: &Looks<'_>, has_job: bool) -> Markup {
    let decided = row.decided.as_deref();
    html! {
        tr {
            td data-name="Conversation" { a href={ "/admin/conversations/" (row.conversation_id) } { code { (row.conversation_id) } } }
            @if looks.has_outcome { td data-name="Outcome" { (words(row.outcome.as_str())) } }
            td.text data-name="Why" {
                @match decided {
                    Some(decided) => {
                        @if let Some(code) = &decided.code { (words(code)) }
                        @if let Some(detail) = &decided.detail { ": " (detail) }
                    }
                    None => (none()),
                }
                @if let Some(protection) = &row.protection { ", " (self::protection(protection)) }
            }
            @if has_job { td data-name="Upstream job" { @match row.upstream_job_id.as_deref() { Some(job) => code { (job) }, None => (none()) } } }
            td data-name="Decided" { @match decided { Some(decided) => (time(decided.at)), None => (none()) } }
        }
    }
}

/// The hold that kept a conversation back.
pub(in crate::admin) fn protection(protection: &Protection) -> Markup {
    let others = protection.holds - 1;
    html! {
        a href={ "/admin/holds/" (protection.hold) } { (protection.matter) }
        @if others > 0 {
            " and " @if protection.holds == MOST { "at least " } (others) @if others == 1 { " other" } @else { " others" }
        }
    }
}
