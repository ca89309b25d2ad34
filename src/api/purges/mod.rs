//! `/purges`.

pub(super) mod body;
pub(super) mod conversations;
pub(super) mod create;
pub(super) mod events;
mod fields;
pub(super) mod get;
pub(super) mod jobs;
pub(super) mod list;
mod repeat;
pub(super) mod report;
pub(super) mod steer;

use uuid::Uuid;

use super::ApiState;
use super::problem::Problem;
use crate::domain::keys::Caller;
use crate::store::purges::load::Purge;

/// The purge, if the caller's key reaches its org.
async fn visible(state: &ApiState, caller: &Caller, id: Uuid) -> Result<Purge, Problem> {
    state
        .store
        .purge(id)
        .await?
        .filter(|purge| caller.reaches(&purge.org))
        .ok_or_else(|| Problem::not_found("purge"))
}
