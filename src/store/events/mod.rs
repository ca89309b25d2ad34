//! Events: written once, in the transaction of what happened; history, webhooks and audit read the same row.

pub mod stamp;
mod write;

pub(super) use write::{Actor, NewEvent, OfPurge, write, write_for_purges};
