//! `/holds`: legal holds that protect conversations by their ids.

pub(super) mod body;
pub(super) mod create;
pub(super) mod get;
pub(super) mod list;
pub(super) mod release;

use uuid::Uuid;

use super::ApiState;
use super::problem::Problem;
use crate::domain::keys::Caller;
use crate::store::holds::read::Hold;

/// The hold, if the caller's key reaches one of its orgs.
async fn visible(state: &ApiState, caller: &Caller, id: Uuid) -> Result<Hold, Problem> {
    state
        .store
        .hold(id)
        .await?
        .filter(|hold| hold.orgs.iter().any(|org| caller.reaches(org)))
        .ok_or_else(|| Problem::not_found("hold"))
}
