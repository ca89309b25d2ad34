//! One hold: what it names, and what it came too late for.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::list::state;
use super::read;
use crate::admin::Desk;
use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{counted, done, facts, next_page, path, text_if_any, time, time_if_any};
use crate::admin::place::{Asked, At};
use crate::api::Problem;
use crate::domain::keys::Scope;
use crate::store::holds::list::HeldConversation;

/// So many ids are shown at once.
const IDS: usize = 200;

/// So many ids are looked through at once for those that it came too late for.
const LOOKED_THROUGH: usize = 2000;

#[derive(Debug, Deserialize)]
pub(in crate::admin) struct From {
    after: Option<Uuid>,
    /// Those alone that it came too late for.
    #[serde(default)]
    late: bool,
}

pub(in crate::admin) async fn page(
    State(desk): State<Desk>,
    visitor: Visitor,
    At(id): At<Uuid>,
    Asked(from): Asked<From>,
) -> Result<Page, Problem> {
    let hold = read(&desk, &visitor, id).await?;
    let shown = if from.late { LOOKED_THROUGH } else { IDS };
    let fetched = i64::try_from(shown + 1).unwrap_or(i64::MAX);
    let mut ids = desk.api.store.held_conversations(&visitor.caller.reach, id, from.after, fetched).await?;
    let has_more = ids.len() > shown;
    ids.truncate(shown);
    let here = format!("/admin/holds/{id}");
    let next = ids.last().filter(|_| has_more).map(|last| {
        let late = if from.late { "true" } else { "" };
        path(&here, &[("late", late), ("after", &last.conversation.to_string())])
    });
    let rows = [
        ("State", state(&hold)),
        ("Reason", text_if_any(hold.reason.as_deref())),
        ("External id", text_if_any(hold.external_id.as_deref())),
        ("Orgs", html! { (hold.orgs.join(", ")) }),
        ("Created", html! { (time(hold.created_at)) " by " (hold.created_by) }),
        (
            "Released",
            html! {
                @match (hold.released_at, &hold.released_by) {
                    (Some(at), Some(by)) => (done(by, at, hold.release_reason.as_deref())),
                    (at, _) => (time_if_any(at)),
                }
            },
        ),
        ("Id", html! { code { (hold.id) } }),
    ];
    let body = html! {
        (facts(&rows))
        @if hold.is_active && visitor.may(Scope::HoldsWrite) {
            p.buttons { a.button.danger href={ (here) "/release" } { "Release…" } }
        }
        h2 { "Names " (counted(hold.conversations.into(), "conversation", "conversations")) }
        (named(&here, &ids, from.late))
        (next_page(next.as_deref()))
    };
    Ok(layout::page(Some(&visitor), &hold.matter, &body))
}

/// The ids; those that it came too late for are marked, or stand alone.
fn named(here: &str, ids: &[HeldConversation], late: bool) -> Markup {
    let number = |many: usize| i64::try_from(many).unwrap_or(i64::MAX);
    let (looked, found) = (ids.len(), ids.iter().filter(|held| held.is_too_late).count());
    html! {
        @if late {
            p { a href=(here) { "All that it names" } }
            p { "Of these " (counted(number(looked), "conversation", "conversations")) " the hold came too late for " strong { (found) } "." }
        } @else {
            p { a href={ (here) "?late=true" } { "Only those that it came too late for" } }
        }
        @if found > 0 {
            p.notice.bad { "The hold came too late for what is marked: it is gone, or an upstream job may be deleting it." }
        }
        ul.ids {
            @for held in ids.iter().filter(|held| held.is_too_late || !late) {
                li {
                    a href={ "/admin/conversations/" (held.conversation) } { code { (held.conversation) } }
                    @if held.is_too_late { " " span.state.failed { "too late" } }
                }
            }
        }
    }
}
