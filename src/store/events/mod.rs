//! Events: written once, in the transaction of what happened; history, webhooks and audit read the same row.

mod write;

pub(super) use write::{Actor, NewEvent, OfPurge, write, write_for_purges};
