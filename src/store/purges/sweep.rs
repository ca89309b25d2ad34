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

/// So many purges are looked at for them.
const PURGES_AT_ONCE: i64 = 20;

impl Store {
    /// Sweeps some more of the org's canceled and retried purges; tells whether there was anything to do.
    pub async fn sweep(&self, org: &str) -> Result<bool, StoreError> {
        let mut tx = self.begin("sweep").await?;
        lock::lock(&mut tx, org).await?;
        let failed = tx.failed();
        let rows = sqlx::query!(
            r#"-- purges_to_sweep
            select id as "id!", retry_from from purges_to_sweep where org = $1 limit $2"#,
            org,
            PURGES_AT_ONCE
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(failed)?;
        // One kind a transaction: both take slices before purges.
        if let Some((purge, from)) = rows.iter().find_map(|row| Some((row.id, row.retry_from?))) {
            sweep_retried(self, &mut tx, purge, from).await?;
        } else if rows.is_empty() {
            return Ok(false);
        } else {
            let purges: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
            sweep_canceled(self, &mut tx, org, &purges).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// Ends what of canceled purges was not submitted, in a few slices.
async fn sweep_canceled(store: &Store, tx: &mut Tx, org: &str, purges: &[Uuid]) -> Result<(), StoreError> {
    let (waiting, mut keys) = waiting_with(tx, org, purges).await?;
    let open = open_slices(tx, org, purges).await?;
    keys.extend(&open);
    let mut patch = Patch::lock(tx, Step::Cancel, None, keys).await?;
    withdraw(tx, &mut patch, org, purges, waiting, Some((Outcome::Canceled, codes::CANCELED))).await?;
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
    wait_no_more(tx, &open).await?;
    patch.write(store, tx).await
}

/// The next few slices of the purges in which something is neither submitted nor final.
async fn open_slices(tx: &mut Tx, org: &str, purges: &[Uuid]) -> Result<Vec<SliceKey>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query!(
        r#"-- slices_to_cancel
        select p.id as "purge!", open.slice_no as "slice_no!"
        from unnest($1::uuid[]) p (id)
        cross join lateral (
            (
                select slice_no from slices
                where purge_id = p.id and state = 'queued'
                order by run_at, slice_no
                limit $3
            )
            union
            (select slice_no from slices where purge_id = p.id and drawable > 0 order by slice_no limit $3)
            union
            (select slice_no from slices where org = $2 and state = 'validating' and purge_id = p.id limit $3)
            union
            (select slice_no from waiters where purge_id = p.id limit $3)
        ) open
        limit $3"#,
        purges,
        org,
        SLICES_AT_ONCE
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(failed)?;
    Ok(rows.into_iter().map(|row| SliceKey { purge: row.purge, no: row.slice_no }).collect())
}

/// What waits in these slices waits for no other job any more.
async fn wait_no_more(tx: &mut Tx, slices: &[SliceKey]) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query!(
        "-- wait_no_more
        delete from waiters w
        using unnest($1::uuid[], $2::int[]) as swept (purge_id, slice_no)
        where (w.purge_id, w.slice_no) = (swept.purge_id, swept.slice_no)",
        &slices.iter().map(|slice| slice.purge).collect::<Vec<_>>(),
        &slices.iter().map(|slice| slice.no).collect::<Vec<_>>()
    )
    .execute(&mut **tx)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Takes failed conversations up again, in the next few slices from `from` on.
async fn sweep_retried(store: &Store, tx: &mut Tx, purge: Uuid, from: i32) -> Result<(), StoreError> {
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
    Ok(())
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
