//! Turns a large purge over, a few slices a transaction: what a cancel ends, what a retry takes up again.
//!
//! The act itself only changes the purge's state; the dispatchers sweep until nothing is left. Each sweep holds the
//! org's lock, as a packing does, and only for as long.

use uuid::Uuid;

use super::finish;
use crate::domain::outcome::{Cell, Marks, Outcome};
use crate::domain::reason::{Step, codes};
use crate::store::error::ensure_rows;
use crate::store::jobs::withdraw::{waiting_with, withdraw};
use crate::store::orgs::lock;
use crate::store::slices::patch::Patch;
use crate::store::slices::{Place, SliceKey};
use crate::store::tx::Tx;
use crate::store::{Store, StoreError};

/// So many slices are swept at once: about as many milliseconds under the org's lock.
const SLICES_AT_ONCE: i64 = 20;

impl Store {
    /// Sweeps some more of the org's canceled and retried purges; tells whether there was anything to do.
    pub async fn sweep(&self, org: &str) -> Result<bool, StoreError> {
        let mut tx = self.begin("sweep").await?;
        lock::lock(&mut tx, org).await?;
        let failed = tx.failed();
        let rows = sqlx::query!(
            r#"-- purges_to_sweep
            select id, retry_from
            from purges
            where org = $1 and state = 'canceling' and pending + eligible > 0
            union all
            select id, retry_from
            from purges
            where org = $1 and retry_from is not null and state <> 'canceling'"#,
            org
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(failed)?;
        for row in rows {
            let Some(purge) = row.id else { continue };
            let has_moved = match row.retry_from {
                Some(from) => sweep_retried(self, &mut tx, purge, from).await?,
                None => sweep_canceled(self, &mut tx, org, purge).await?,
            };
            if has_moved {
                tx.commit().await?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Ends what of a canceled purge was not submitted, in a few slices; tells whether there was any.
///
/// What an overdue job still has reserved waits until that job lets it go.
async fn sweep_canceled(store: &Store, tx: &mut Tx, org: &str, purge: Uuid) -> Result<bool, StoreError> {
    let (waiting, mut keys) = waiting_with(tx, org, purge).await?;
    let open = open_slices(tx, org, purge).await?;
    if waiting.is_empty() && open.is_empty() {
        return Ok(false);
    }
    keys.extend(&open);
    let mut patch = Patch::lock(tx, Step::Cancel, None, keys).await?;
    withdraw(tx, &mut patch, org, purge, waiting, Some((Outcome::Canceled, codes::CANCELED))).await?;
    for slice in &open {
        let cells = patch.slice(*slice).map(|draft| draft.cells.clone()).unwrap_or_default();
        for (position, cell) in cells.into_iter().enumerate() {
            let is_reserved = cell.marks.has(Marks::RESERVED);
            if cell.outcome == Outcome::Pending || cell.outcome == Outcome::Eligible && !is_reserved {
                let place = Place { slice: *slice, position };
                patch.decide(place, cell.outcome, Outcome::Canceled, codes::CANCELED)?;
                patch.mark(place, Marks::NONE, Marks::ELSEWHERE)?;
            }
        }
    }
    wait_no_more(tx, purge, &open).await?;
    patch.write(store, tx).await?;
    Ok(true)
}

/// The next few slices of a purge in which something is neither submitted nor final.
async fn open_slices(tx: &mut Tx, org: &str, purge: Uuid) -> Result<Vec<SliceKey>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query_scalar!(
        r#"-- slices_to_cancel
        select slice_no as "slice_no!"
        from (
            (
                select slice_no from slices
                where purge_id = $1 and state = 'queued'
                order by run_at, slice_no
                limit $3
            )
            union
            (select slice_no from slices where purge_id = $1 and drawable > 0 order by slice_no limit $3)
            union
            (select slice_no from slices where org = $2 and state = 'validating' and purge_id = $1 limit $3)
            union
            (select slice_no from waiters where purge_id = $1 limit $3)
        ) open
        order by slice_no
        limit $3"#,
        purge,
        org,
        SLICES_AT_ONCE
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(failed)?;
    Ok(rows.into_iter().map(|no| SliceKey { purge, no }).collect())
}

/// Its conversations wait for no other job any more.
async fn wait_no_more(tx: &mut Tx, purge: Uuid, slices: &[SliceKey]) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query!(
        "-- wait_no_more
        delete from waiters where purge_id = $1 and slice_no = any($2)",
        purge,
        &slices.iter().map(|slice| slice.no).collect::<Vec<_>>()
    )
    .execute(&mut **tx)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Takes failed conversations up again, in the next few slices from `from` on.
async fn sweep_retried(store: &Store, tx: &mut Tx, purge: Uuid, from: i32) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query!(
        "-- slices_to_retry
        select slice_no, outcomes from slices
        where purge_id = $1 and slice_no >= $2
        order by slice_no
        limit $3",
        purge,
        from,
        SLICES_AT_ONCE
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(failed)?;
    let next = rows.last().map(|row| row.slice_no + 1);
    let is_failed = |byte: &u8| Cell::from_byte(*byte).is_some_and(|cell| cell.outcome == Outcome::Failed);
    let with_failed = rows.iter().filter(|row| row.outcomes.iter().any(is_failed));
    let keys: Vec<SliceKey> = with_failed.map(|row| SliceKey { purge, no: row.slice_no }).collect();
    let mut patch = Patch::lock(tx, Step::Retry, None, keys.clone()).await?;
    let now = tx.now().await?;
    for slice in keys {
        let Some(draft) = patch.slice_mut(slice) else { continue };
        draft.run_at = Some(now);
        (draft.tries, draft.fruitless) = (0, 0);
        let cells = draft.cells.clone();
        let failed = cells.iter().enumerate().filter(|(_, cell)| cell.outcome == Outcome::Failed);
        for (position, _) in failed {
            patch.decide(Place { slice, position }, Outcome::Failed, Outcome::Pending, codes::RETRIED)?;
        }
    }
    patch.write(store, tx).await?;
    move_on(tx, purge, from, next).await?;
    if next.is_none() {
        // What was taken up may have ended before the last slice was looked through.
        let now = tx.now().await?;
        finish::finish(store, tx, now, &[purge]).await?;
    }
    Ok(true)
}

async fn move_on(tx: &mut Tx, purge: Uuid, from: i32, next: Option<i32>) -> Result<(), StoreError> {
    let failed = tx.failed();
    let moved = sqlx::query!(
        "-- move_retry_on
        update purges set retry_from = $3 where id = $1 and retry_from = $2",
        purge,
        from,
        next
    )
    .execute(&mut **tx)
    .await
    .map_err(failed)?;
    ensure_rows("move_retry_on", moved.rows_affected(), 1)
}
