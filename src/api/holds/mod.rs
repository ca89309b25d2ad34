//! `/holds`: legal holds that protect conversations by their ids.

pub(super) mod body;
pub(super) mod conversations;
pub(super) mod create;
pub(super) mod get;
pub(super) mod list;
pub(super) mod release;

use super::problem::Problem;

/// The hold does not exist, or is outside of the caller's reach: the answer is the same.
fn unknown() -> Problem {
    Problem::not_found("hold")
}
