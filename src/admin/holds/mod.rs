//! Legal holds: lists, one of them, new ones, and their release.

pub(super) mod create;
pub(super) mod list;
pub(super) mod release;
pub(super) mod show;

use uuid::Uuid;

use super::Desk;
use super::gate::Visitor;
use crate::api::Problem;
use crate::domain::keys::Scope;
use crate::store::Urgency;
use crate::store::holds::read::Hold;

/// The hold of a page, within the reach of who looks.
async fn read(desk: &Desk, visitor: &Visitor, id: Uuid) -> Result<Hold, Problem> {
    visitor.must(Scope::PurgesRead)?;
    let hold = desk.api.store.hold(&visitor.caller.reach, id, Urgency::Ordinary).await?;
    hold.ok_or_else(|| Problem::not_found("hold"))
}
