//! Releasing a hold, after a question.

use axum::extract::{FromRequest as _, Request, State};
use axum::response::Response;
use maud::html;
use uuid::Uuid;

use super::read;
use crate::admin::Desk;
use crate::admin::form::{Checked, Why};
use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{counted, question, to, why};
use crate::admin::place::At;
use crate::api::{Problem, released};
use crate::domain::keys::Scope;

pub(in crate::admin) async fn ask(
    State(desk): State<Desk>,
    visitor: Visitor,
    At(id): At<Uuid>,
) -> Result<Page, Problem> {
    visitor.must(Scope::HoldsWrite)?;
    let hold = read(&desk, &visitor, id).await?;
    let many = counted(hold.conversations.into(), "conversation", "conversations");
    let what = html! {
        p {
            strong { (many) } " will not be protected by this hold any more. A new purge may delete them, unless another hold "
            "or a retention period protects them."
        }
        (why())
    };
    let body = question(&visitor, &what, "Release the hold", true, &format!("/admin/holds/{id}"));
    Ok(layout::page(Some(&visitor), &format!("Release “{}”?", hold.matter), &body))
}

pub(in crate::admin) async fn act(
    State(desk): State<Desk>,
    visitor: Visitor,
    At(id): At<Uuid>,
    request: Request,
) -> Result<Response, Problem> {
    visitor.must(Scope::HoldsWrite)?;
    let Checked(told) = Checked::<Why>::from_request(request, &()).await?;
    released(&desk.api, &visitor.caller.reach, visitor.by(told.reason.as_deref()), id).await?;
    Ok(to(&format!("/admin/holds/{id}")))
}
