//! `/purges`.

pub(super) mod body;
pub(super) mod conversations;
pub(super) mod create;
pub(super) mod events;
mod fields;
mod follow;
pub(super) mod get;
mod history;
pub(super) mod jobs;
pub(super) mod list;
mod repeat;
pub(super) mod report;
pub(super) mod steer;
pub(super) mod table;

use uuid::Uuid;

use super::problem::Problem;
use super::state::ApiState;
use crate::domain::keys::Reach;
use crate::store::purges::load::Purge;

async fn read(state: &ApiState, reach: &Reach, id: Uuid) -> Result<Purge, Problem> {
    state.store.purge(reach, id).await?.ok_or_else(unknown)
}

/// The purge does not exist, or is outside of the caller's reach: the answer is the same.
fn unknown() -> Problem {
    Problem::not_found("purge")
}
