//! Cancels or retries a large purge, a few slices per transaction.
//!
//! The act itself only changes the purge's state; the dispatchers sweep until nothing is left. Each sweep holds the
//! org's lock, for about as long as packing does.

use uuid::Uuid;

use super::finish;
use crate::domain::outcome::{Cell, Marks, Outcome};
use crate::domain::reason::{Step, codes};
use crate::domain::verdict::when_canceled;
use crate::store::jobs::withdraw::{self, Leave, waiting_with};
use crate::store::orgs::lock;
use crate::store::slices::patch::Patch;
use crate::store::slices::{Place, SliceKey};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// How many slices are swept at once, or one of each purge: about as many milliseconds under the org's lock.
const SLICES_AT_ONCE: i64 = 20;

/// The result of a sweep.
#[derive(Debug, Default)]
pub struct Swept {
    /// There was something to do, and it is done.
    pub has_swept: bool,
    /// Purges that could not be swept, and why.
    pub failed: Vec<(Uuid, StoreError)>,
}

impl Swept {
    /// Records the result for one purge; an outage affects all of them.
    pub(super) fn note(&mut self, purge: Uuid, swept: Result<bool, StoreError>) -> Result<(), StoreError> {
        match swept {
            Ok(swept) => self.has_swept |= swept,
            Err(error) if error.is_outage() => return Err(error),
            Err(error) => self.failed.push((purge, error)),
        }
        Ok(())
    }
}

impl Store {
    /// Sweeps some more of the org's canceled and retried purges, wakes waiters, and reads slices that were set aside,
    /// except those of `except`.
    ///
    /// Each kind has a transaction of its own: all take slices before purges. A purge that can't be swept holds up no
    /// other one.
    pub async fn sweep(&self, org: &str, except: &[Uuid]) -> Result<Swept, StoreError> {
        let (canceled, retried) = self.to_sweep(org, except).await?;
        let mut swept = Swept::default();
        match self.sweep_canceled(org, &canceled).await {
            Ok(has_swept) => swept.has_swept = has_swept,
            Err(error) if error.is_outage() => return Err(error),
            // Doing each alone shows which of them fails.
            Err(_) => {
                for purge in canceled {
                    let alone = self.sweep_canceled(org, &[purge]).await;
                    swept.note(purge, alone)?;
                }
            }
        }
        if let Some((purge, from)) = retried {
            let retried = self.sweep_retried(org, purge, from).await;
            swept.note(purge, retried)?;
        }
        self.sweep_released(org, except, &mut swept).await?;
        self.repair_set_aside(org, except, &mut swept).await?;
        Ok(swept)
    }

    /// The canceled purges that are swept next, those with the least left first, and one that is retried.
    async fn to_sweep(
        &self,
        org: &str,
        except: &[Uuid],
    ) -> Result<(Vec<Uuid>, Option<(Uuid, i32)>), StoreError> {
        let mut tx = self.begin("purges_to_sweep").await?;
        let canceled = sqlx::query_scalar!(
            r#"-- canceled_purges_to_sweep
            select id as "id!"
            from canceled_to_sweep
            where org = $1 and id <> all($2)
            order by open, id
            limit 20"#,
            org,
            except
        )
        .all(&mut tx)
        .await?;
        let retried = sqlx::query!(
            r#"-- retried_purge_to_sweep
            select id as "id!", retry_from as "retry_from!"
            from retried_to_sweep
            where org = $1 and id <> all($2)
            order by total, id
            limit 1"#,
            org,
            except
        )
        .maybe(&mut tx)
        .await?;
        Ok((canceled, retried.map(|row| (row.id, row.retry_from))))
    }

    /// Ends conversations of canceled purges that were not submitted, in a few slices; returns whether there were any.
    async fn sweep_canceled(&self, org: &str, purges: &[Uuid]) -> Result<bool, StoreError> {
        self.retried(|| self.try_sweep_canceled(org, purges)).await
    }

    async fn try_sweep_canceled(&self, org: &str, purges: &[Uuid]) -> Result<bool, StoreError> {
        if purges.is_empty() {
            return Ok(false);
        }
        let mut tx = self.begin("sweep_canceled").await?;
        lock::lock(&mut tx, org).await?;
        let (waiting, mut keys) = waiting_with(&mut tx, org, purges).await?;
        let open = open_slices(&mut tx, org, purges).await?;
        if waiting.is_empty() && open.is_empty() {
            note_swept(&mut tx, purges).await?;
            tx.commit().await?;
            return Ok(false);
        }
        keys.extend(&open);
        let mut patch = withdraw::lock(&mut tx, Step::Cancel, &waiting, keys).await?;
        for slice in &open {
            let cells = patch.slice(*slice).map(|draft| draft.cells.clone()).unwrap_or_default();
            for (position, cell) in cells.into_iter().enumerate() {
                if matches!(cell.outcome, Outcome::Pending | Outcome::Eligible) {
                    let place = Place { slice: *slice, position };
                    let (outcome, reason) = when_canceled(cell.marks);
                    patch.decide(place, cell.outcome, outcome, reason)?;
                    patch.mark(place, Marks::NONE, Marks::ELSEWHERE)?;
                }
            }
        }
        // Before ids are released: no waiters are left to wake.
        wait_no_more(&mut tx, &open).await?;
        withdraw::withdraw(&mut tx, &mut patch, org, purges, waiting, Leave::Canceled).await?;
        patch.write(self, &mut tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Makes failed conversations pending again, in the next few slices from `from` on; `false` if a cancel came
    /// before.
    async fn sweep_retried(&self, org: &str, purge: Uuid, from: i32) -> Result<bool, StoreError> {
        self.retried(|| self.try_sweep_retried(org, purge, from)).await
    }

    async fn try_sweep_retried(&self, org: &str, purge: Uuid, from: i32) -> Result<bool, StoreError> {
        let mut tx = self.begin("sweep_retried").await?;
        lock::lock(&mut tx, org).await?;
        if !is_retried_from(&mut tx, purge, from).await? {
            return Ok(false);
        }
        let (keys, next) = slices_to_retry(&mut tx, purge, from).await?;
        let mut patch = Patch::lock(&mut tx, Step::Retry, None, keys.clone()).await?;
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
        patch.write(self, &mut tx).await?;
        move_on(&mut tx, purge, from, next).await?;
        if next.is_none() {
            // Retried conversations may have ended before the last slice was swept.
            let now = tx.now().await?;
            finish::finish(self, &mut tx, now, &[purge]).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// The next few slices of the purges in which something is neither submitted nor final, some of each purge.
async fn open_slices(tx: &mut Tx, org: &str, purges: &[Uuid]) -> Result<Vec<SliceKey>, StoreError> {
    let of_each = (SLICES_AT_ONCE / i64::try_from(purges.len()).unwrap_or(i64::MAX)).max(1);
    let rows = sqlx::query!(
        r#"-- slices_to_cancel
        select p.id as "purge!", open.slice_no as "slice_no!"
        from unnest($1::uuid[]) p (id)
        cross join lateral (
            (
                select slice_no from slices_to_ask
                where purge_id = p.id
                order by run_at, slice_no
                limit $3
            )
            union
            (select slice_no from slices where purge_id = p.id and drawable > 0 order by slice_no limit $3)
            union
            (select slice_no from slices where org = $2 and state = 'validating' and purge_id = p.id limit $3)
            union
            (select slice_no from waiters where purge_id = p.id limit $3)
            union
            -- What a job that is no longer waiting has left as it was, and has not let go.
            (
                select jp.slice_no
                from jobs j
                join job_parts jp on jp.job_id = j.id
                join slices s on (s.purge_id, s.slice_no) = (jp.purge_id, jp.slice_no)
                where j.org = $2 and j.state not in ('waiting', 'done') and jp.purge_id = p.id
                  and s.read_again_at is null
                  and exists (
                      select from generate_series(0, length(s.outcomes) - 1) as at (n)
                      where get_byte(s.outcomes, n) & 15 = $4
                  )
                limit $3
            )
            limit $3
        ) open"#,
        purges,
        org,
        of_each,
        i32::from(Outcome::Eligible.code())
    )
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| SliceKey { purge: row.purge, no: row.slice_no }).collect())
}

/// Notes that nothing is left to sweep of these purges until their counts change.
async fn note_swept(tx: &mut Tx, purges: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        "-- note_swept
        update purges p set swept = true
        from (select id from purges where id = any($1) order by id for no key update) locked
        where p.id = locked.id",
        purges
    )
    .run(tx)
    .await?;
    Ok(())
}

/// Conversations in these slices no longer wait for other jobs.
pub(super) async fn wait_no_more(tx: &mut Tx, slices: &[SliceKey]) -> Result<(), StoreError> {
    sqlx::query!(
        "-- wait_no_more
        delete from waiters w
        using unnest($1::uuid[], $2::int[]) as swept (purge_id, slice_no)
        where (w.purge_id, w.slice_no) = (swept.purge_id, swept.slice_no)",
        &slices.iter().map(|slice| slice.purge).collect::<Vec<_>>(),
        &slices.iter().map(|slice| slice.no).collect::<Vec<_>>()
    )
    .run(tx)
    .await?;
    Ok(())
}

/// It was not swept further, or canceled, before the org was locked.
async fn is_retried_from(tx: &mut Tx, purge: Uuid, from: i32) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"-- is_retried_from
        select exists (select from purges where id = $1 and retry_from = $2) as "is!""#,
        purge,
        from
    )
    .one(tx)
    .await
}

/// The slices with failed conversations among the next few from `from` on, and where to continue; `None` after the
/// last.
async fn slices_to_retry(
    tx: &mut Tx,
    purge: Uuid,
    from: i32,
) -> Result<(Vec<SliceKey>, Option<i32>), StoreError> {
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
    .all(tx)
    .await?;
    let next = rows.last().map(|row| row.slice_no + 1);
    let is_failed = |byte: &u8| Cell::from_byte(*byte).is_some_and(|cell| cell.outcome == Outcome::Failed);
    let with_failed = rows.iter().filter(|row| row.outcomes.iter().any(is_failed));
    Ok((with_failed.map(|row| SliceKey { purge, no: row.slice_no }).collect(), next))
}

async fn move_on(tx: &mut Tx, purge: Uuid, from: i32, next: Option<i32>) -> Result<(), StoreError> {
    sqlx::query!(
        "-- move_retry_on
        update purges set retry_from = $3 where id = $1 and retry_from = $2",
        purge,
        from,
        next
    )
    .exactly(tx, 1)
    .await
}
