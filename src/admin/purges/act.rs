//! Pause, resume, cancel and retry, each after a question that says how many conversations it is about.

use axum::extract::{FromRequest as _, Request, State};
use axum::response::Response;
use maud::{Markup, html};
use uuid::Uuid;

use super::{name, read};
use crate::admin::Desk;
use crate::admin::form::{Checked, Why};
use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{counted, question, to, why, words};
use crate::admin::place::At;
use crate::api::{Problem, steered};
use crate::domain::act::Act;
use crate::domain::keys::Scope;
use crate::store::purges::load::Purge;

/// What the button says.
pub(super) const fn label(act: Act) -> &'static str {
    match act {
        Act::Cancel => "Cancel",
        Act::Pause => "Pause",
        Act::Resume => "Resume",
        Act::Retry => "Retry",
    }
}

pub(in crate::admin) async fn ask(
    State(desk): State<Desk>,
    visitor: Visitor,
    At((id, act)): At<(Uuid, Act)>,
) -> Result<Page, Problem> {
    visitor.must(Scope::PurgesWrite)?;
    let purge = read(&desk, &visitor, id).await?;
    let what = html! { (consequence(act, &purge)) (why()) };
    let is_danger = matches!(act, Act::Cancel | Act::Retry | Act::Resume);
    let body = html! {
        p { "It is " (words(purge.state.as_str())) "." }
        (question(&visitor, &what, &format!("{} the purge", label(act)), is_danger, &format!("/admin/purges/{id}")))
    };
    Ok(layout::page(Some(&visitor), &format!("{} “{}”?", label(act), name(&purge)), &body))
}

fn consequence(act: Act, purge: &Purge) -> Markup {
    let counts = &purge.counts;
    let many = |number: i64| counted(number, "conversation", "conversations");
    let open = counts.pending + counts.eligible;
    html! {
        p {
            @match act {
                Act::Cancel => {
                    strong { (many(open)) } " will not be deleted. "
                    @if counts.submitted > 0 { (many(counts.submitted)) " in upstream jobs that run may still be. " }
                    "A canceled purge can't go on."
                }
                Act::Pause => {
                    "Nothing more of " strong { (many(open)) } " is checked or submitted until you resume it. "
                    @if counts.submitted > 0 { (many(counts.submitted)) " in upstream jobs that run may still be deleted." }
                }
                Act::Resume => { "Up to " strong { (many(open)) } " are deleted permanently." }
                Act::Retry => { strong { (many(counts.failed)) } " that failed are taken up again, and deleted permanently if they may be." }
            }
        }
    }
}

pub(in crate::admin) async fn act(
    State(desk): State<Desk>,
    visitor: Visitor,
    At((id, act)): At<(Uuid, Act)>,
    request: Request,
) -> Result<Response, Problem> {
    visitor.must(Scope::PurgesWrite)?;
    let Checked(told) = Checked::<Why>::from_request(request, &()).await?;
    steered(&desk.api, &visitor.caller.reach, visitor.by(told.reason.as_deref()), id, act).await?;
    Ok(to(&format!("/admin/purges/{id}")))
}
