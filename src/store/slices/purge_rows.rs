//! The purge rows that work on slices changes: locked after the slices, in the order of their ids.

use uuid::Uuid;

use crate::domain::counts::Counts;
use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx};

/// The changes of a patch to one purge.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PurgeChange {
    pub(super) counts: Counts,
    pub(super) drawable: i64,
}

/// Locks purges in their order; the slices of theirs that the transaction needs are locked by now.
pub(super) async fn lock_purges(tx: &mut Tx, ids: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        "-- lock_purges_in_order
        select id from purges where id = any($1) order by id for no key update",
        ids
    )
    .all(tx)
    .await?;
    Ok(())
}
