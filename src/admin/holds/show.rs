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

/// So many ids are shown at once.
const IDS: usize = 200;

#[derive(Debug, Deserialize)]
pub(in crate::admin) struct From {
    after: Option<Uuid>,
}

pub(in crate::admin) async fn page(
    State(desk): State<Desk>,
    visitor: Visitor,
    At(id): At<Uuid>,
    Asked(from): Asked<From>,
) -> Result<Page, Problem> {
    let hold = read(&desk, &visitor, id).await?;
    let (store, reach) = (&desk.api.store, &visitor.caller.reach);
    let too_late = store.too_late_for(reach, id).await?;
    let fetched = i64::try_from(IDS + 1).unwrap_or(i64::MAX);
    let mut ids = store.held_conversations(reach, id, from.after, fetched).await?;
    let has_more = ids.len() > IDS;
    ids.truncate(IDS);
    let here = format!("/admin/holds/{id}");
    let next =
        ids.last().filter(|_| has_more).map(|last| path(&here, &[("after", &last.conversation.to_string())]));
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
        @if !too_late.is_empty() {
            h2 { "Too late for " (counted(i64::try_from(too_late.len()).unwrap_or(i64::MAX), "conversation", "conversations")) }
            p.notice.bad { "They are gone, or an upstream job may be deleting them." }
            (list(too_late.iter().copied().take(IDS)))
            @if too_late.len() > IDS { p.hint { "The first " (IDS) ". The API tells all of them." } }
        }
        h2 { "Names " (counted(hold.conversations.into(), "conversation", "conversations")) }
        (list(ids.iter().map(|held| held.conversation)))
        (next_page(next.as_deref()))
    };
    Ok(layout::page(Some(&visitor), &hold.matter, &body))
}

fn list(ids: impl Iterator<Item = Uuid>) -> Markup {
    html! { ul.ids { @for id in ids { li { a href={ "/admin/conversations/" (id) } { code { (id) } } } } } }
}
