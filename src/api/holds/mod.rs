//! `/holds`: legal holds that protect conversations by their ids.

pub(super) mod body;
pub(super) mod conversations;
pub(super) mod create;
pub(super) mod get;
pub(super) mod list;
pub(super) mod release;

use super::problem::Problem;

/// There is no such hold, or the caller does not reach it: nobody is told which.
fn unknown() -> Problem {
    Problem::not_found("hold")
}
