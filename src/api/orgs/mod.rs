//! `/orgs`.

pub(super) mod steer;
