//! `/orgs`: the Genesys organizations, their limits and how they stand; the operator's brake.

mod body;
pub(super) mod get;
pub(super) mod list;
pub(super) mod steer;

use body::OrgBody;

use super::ApiState;
use super::problem::Problem;
use crate::domain::keys::Caller;
use crate::domain::terms::OrgTerms;

/// What is configured of the org, if the caller's key reaches it.
fn known<'a>(state: &'a ApiState, caller: &Caller, name: &str) -> Result<&'a OrgTerms, Problem> {
    let mut reached = state.orgs.iter().filter(|org| caller.reaches(&org.name));
    reached.find(|org| org.name == name).ok_or_else(unknown)
}

/// The org as it stands.
async fn read(state: &ApiState, terms: &OrgTerms) -> Result<OrgBody, Problem> {
    let row = state.store.orgs(std::slice::from_ref(&terms.name)).await?.pop().ok_or_else(unknown)?;
    Ok(OrgBody::new(terms, row))
}

fn unknown() -> Problem {
    Problem::not_found("org")
}
