//! The operator's brake: an org is stopped, or goes on, after a question.

use axum::extract::{FromRequest as _, Request, State};
use axum::response::Response;
use maud::html;
use serde::Deserialize;

use super::Desk;
use super::form::{Checked, Why};
use super::gate::Visitor;
use super::layout::{self, Page};
use super::parts::{question, to, why};
use super::place::At;
use crate::api::{Problem, resume, stop};
use crate::domain::keys::Scope;

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OrgAct {
    Stop,
    Resume,
}

pub(super) async fn ask(
    State(desk): State<Desk>,
    visitor: Visitor,
    At((org, act)): At<(String, OrgAct)>,
) -> Result<Page, Problem> {
    visitor.must(Scope::Admin)?;
    if !visitor.caller.reach.covers(&org) || !desk.api.orgs.iter().any(|known| known.name == org) {
        return Err(Problem::not_found("org"));
    }
    Ok(match act {
        OrgAct::Stop => {
            let what = html! {
                p {
                    "Nothing new is begun for " strong { (org) } ": no conversation is checked, none is submitted for deletion. "
                    "Upstream jobs that run go on to their end. The org stays stopped until somebody resumes it."
                }
                (why())
            };
            let body = question(&visitor, &what, "Stop the org", true, "/admin");
            layout::page(Some(&visitor), &format!("Stop {org}?"), &body)
        }
        OrgAct::Resume => {
            let what = html! {
                p { "Work for " strong { (org) } " goes on: its purges delete conversations again." }
                (why())
            };
            let body = question(&visitor, &what, "Resume the org", true, "/admin");
            layout::page(Some(&visitor), &format!("Resume {org}?"), &body)
        }
    })
}

pub(super) async fn act(
    State(desk): State<Desk>,
    visitor: Visitor,
    At((org, act)): At<(String, OrgAct)>,
    request: Request,
) -> Result<Response, Problem> {
    visitor.must(Scope::Admin)?;
    let Checked(told) = Checked::<Why>::from_request(request, &()).await?;
    let (reach, by) = (&visitor.caller.reach, visitor.by(told.reason.as_deref()));
    match act {
        OrgAct::Stop => {
            stop(&desk.api, reach, by, &org).await?;
        }
        OrgAct::Resume => resume(&desk.api, reach, by, &org).await?,
    }
    Ok(to("/admin"))
}
