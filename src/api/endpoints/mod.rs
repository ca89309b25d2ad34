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

/// There is no such endpoint, or the caller does not reach every org of it: nobody is told which.
fn unknown() -> Problem {
    Problem::not_found("endpoint")
}
