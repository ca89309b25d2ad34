//! `/orgs`: the Genesys organizations, their limits and how they stand.

mod body;
pub(super) mod get;
pub(super) mod list;
