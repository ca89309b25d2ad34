//! `/webhook-endpoints`: receivers that callers register.

pub(super) mod body;
pub(super) mod change;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod fields;
pub(super) mod get;
pub(super) mod list;
pub(super) mod rotate;
pub(super) mod test;

use super::problem::Problem;

/// The endpoint does not exist, or the caller does not reach every org of it: the answer is the same.
fn unknown() -> Problem {
    Problem::not_found("endpoint")
}
