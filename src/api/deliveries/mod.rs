//! `/webhook-deliveries`: deliveries, the results of their attempts, and redelivery.

mod body;
pub(super) mod get;
pub(super) mod list;
pub(super) mod redeliver;

use jiff::Timestamp;

use super::problem::Problem;

/// The delivery does not exist, or is outside of the caller's reach: the answer is the same.
fn unknown() -> Problem {
    Problem::not_found("delivery")
}

/// What is older than any delivery is no older than this: Postgres knows fewer years.
fn since(since: Timestamp) -> Timestamp {
    since.max(Timestamp::UNIX_EPOCH)
}
