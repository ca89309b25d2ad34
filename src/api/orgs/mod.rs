//! `/orgs`: the Genesys organizations, their limits and their state; the operator's emergency stop.

mod body;
pub(super) mod get;
pub(super) mod list;
pub(super) mod steer;

use body::OrgBody;

use super::problem::Problem;
use super::state::ApiState;
use crate::domain::keys::Reach;
use crate::domain::terms::OrgTerms;
use crate::store::Urgency;

/// The configuration of the org, if it is within the reach.
fn known<'a>(state: &'a ApiState, reach: &Reach, name: &str) -> Result<&'a OrgTerms, Problem> {
    let mut reached = state.orgs.iter().filter(|org| reach.covers(&org.name));
    reached.find(|org| org.name == name).ok_or_else(unknown)
}

async fn read(
    state: &ApiState,
    reach: &Reach,
    terms: &OrgTerms,
    urgency: Urgency,
) -> Result<OrgBody, Problem> {
    let rows = state.store.orgs(reach, std::slice::from_ref(&terms.name), urgency).await?;
    let row = rows.into_iter().next().ok_or_else(unknown)?;
    Ok(OrgBody::new(terms, row))
}

fn unknown() -> Problem {
    Problem::not_found("org")
}
