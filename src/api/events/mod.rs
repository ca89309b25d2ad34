//! `/events`: every event of all purges, holds and orgs, in the order of their commits and without gaps.

mod body;
mod follow;
pub(super) mod list;
mod since;
