//! `/webhook-deliveries`: deliveries, the results of their attempts, and redelivery.

mod body;
pub(super) mod get;
pub(super) mod list;
pub(super) mod redeliver;

use jiff::Timestamp;

use super::problem::Problem;

/// There is no such delivery, or the caller does not reach it: nobody is told which.
fn unknown() -> Problem {
    Problem::not_found("delivery")
}

/// What is older than any delivery is no older than this: Postgres knows fewer years.
fn since(since: Timestamp) -> Timestamp {
    since.max(Timestamp::UNIX_EPOCH)
}
