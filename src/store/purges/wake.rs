//! Wakes conversations that waited for an id after its job let it go, a few slices a transaction: tens of thousands of
//! purges may wait for one id, and no intent of their org must wait for all of them.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::sweep::Swept;
use crate::domain::outcome::{Marks, Outcome};
use crate::domain::reason::{Step, codes};
use crate::store::orgs::lock;
use crate::store::slices::patch::Patch;
use crate::store::slices::{Place, SliceKey};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// How many slices are woken at once: about as many milliseconds under the org's lock.
const SLICES_AT_ONCE: i64 = 50;

/// How many released ids without waiters are removed at once.
const IDS_AT_ONCE: i64 = 200;

/// What a slice waits for: its positions, and their ids.
type Waiting = BTreeMap<SliceKey, Vec<(usize, Uuid)>>;

impl Store {
    /// Wakes more waiters of ids that no job has any more, except those of purges in `except`. A purge that can't be
    /// woken delays no other.
    pub(super) async fn sweep_released(
        &self,
        org: &str,
        except: &[Uuid],
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let Some(slices) = self.slices_to_wake(org, except).await? else { return Ok(()) };
        match self.wake(org, &slices).await {
            Ok(has_woken) => swept.has_swept |= has_woken,
            Err(error) if error.is_outage() => return Err(error),
            // Doing each alone shows which of them fails.
            Err(_) => {
                for slice in slices {
                    let alone = self.wake(org, &[slice]).await;
                    swept.note(slice.purge, alone)?;
                }
            }
        }
        Ok(())
    }

    /// Slices with waiters of an id that no job has any more; `None` if no id was released.
    async fn slices_to_wake(&self, org: &str, except: &[Uuid]) -> Result<Option<Vec<SliceKey>>, StoreError> {
        let mut tx = self.begin("slices_to_wake").await?;
        let is_any_released = sqlx::query_scalar!(
            r#"-- is_any_released
            select exists (select from released where org = $1) as "is!""#,
            org
        )
        .one(&mut tx)
        .await?;
        if !is_any_released {
            return Ok(None);
        }
        let rows = sqlx::query!(
            r#"-- slices_to_wake
            select distinct first.purge_id as "purge!", first.slice_no as "slice_no!"
            from (
                select w.purge_id, w.slice_no
                from released r
                cross join lateral (
                    select purge_id, slice_no from waiters
                    where org = r.org and conversation_id = r.conversation_id and purge_id <> all($2)
                    order by purge_id
                    limit $3
                ) w
                where r.org = $1
                limit $3
            ) first"#,
            org,
            except,
            SLICES_AT_ONCE
        )
        .all(&mut tx)
        .await?;
        Ok(Some(rows.into_iter().map(|row| SliceKey { purge: row.purge, no: row.slice_no }).collect()))
    }

    /// Wakes the waiters in these slices of ids that no job has: their facts are older than the job, so they are
    /// queried again. Returns whether there was anything to do.
    async fn wake(&self, org: &str, slices: &[SliceKey]) -> Result<bool, StoreError> {
        self.retried(|| self.try_wake(org, slices)).await
    }

    async fn try_wake(&self, org: &str, slices: &[SliceKey]) -> Result<bool, StoreError> {
        let mut tx = self.begin("wake").await?;
        lock::lock(&mut tx, org).await?;
        let waiting = stop_waiting(&mut tx, org, slices).await?;
        let keys = waiting.keys().copied().collect();
        let mut patch = Patch::lock(&mut tx, Step::Wake, None, keys).await?;
        for (&slice, waiting) in &waiting {
            let Some(draft) = patch.slice(slice) else {
                // Conversations of left-out slices no longer wait either: their slice starts again when it is
                // readable.
                continue;
            };
            if waiting.iter().any(|(position, _)| *position >= draft.ids.len()) {
                patch.leave_out(slice, "a position that waits for an id can't be read".to_owned());
                continue;
            }
            for &(position, _) in waiting {
                let place = Place { slice, position };
                patch.mark(place, Marks::NONE, Marks::ELSEWHERE)?;
                if patch.cell(place).is_some_and(|cell| cell.outcome == Outcome::Eligible) {
                    patch.decide(place, Outcome::Eligible, Outcome::Pending, codes::FACTS_STALE)?;
                }
            }
        }
        let ids: Vec<Uuid> = waiting.values().flatten().map(|(_, id)| *id).collect();
        let forgotten = forget_released(&mut tx, org, &ids).await?;
        patch.write(self, &mut tx).await?;
        tx.commit().await?;
        Ok(!waiting.is_empty() || forgotten > 0)
    }
}

/// Removes from the waiters the conversations in these slices whose id no job has.
async fn stop_waiting(tx: &mut Tx, org: &str, slices: &[SliceKey]) -> Result<Waiting, StoreError> {
    let rows = sqlx::query!(
        "-- stop_waiting
        delete from waiters w
        using unnest($2::uuid[], $3::int[]) as woken (purge_id, slice_no)
        where (w.purge_id, w.slice_no) = (woken.purge_id, woken.slice_no) and w.org = $1
          and exists (select from released where org = $1 and conversation_id = w.conversation_id)
        returning w.purge_id, w.slice_no, w.position, w.conversation_id",
        org,
        &slices.iter().map(|slice| slice.purge).collect::<Vec<_>>(),
        &slices.iter().map(|slice| slice.no).collect::<Vec<_>>()
    )
    .all(tx)
    .await?;
    let mut waiting = Waiting::new();
    for row in rows {
        let slice = SliceKey { purge: row.purge_id, no: row.slice_no };
        let position = usize::try_from(row.position).unwrap_or(usize::MAX);
        waiting.entry(slice).or_default().push((position, row.conversation_id));
    }
    Ok(waiting)
}

/// Removes released ids without waiters: those of these ids, and some others.
async fn forget_released(tx: &mut Tx, org: &str, ids: &[Uuid]) -> Result<u64, StoreError> {
    sqlx::query!(
        "-- forget_released
        delete from released r
        using (
            select unnest($2::uuid[]) as id
            union
            (select conversation_id from released where org = $1 order by conversation_id limit $3)
        ) looked_at
        where r.org = $1 and r.conversation_id = looked_at.id
          and not exists (select from waiters where org = $1 and conversation_id = r.conversation_id)",
        org,
        ids,
        IDS_AT_ONCE
    )
    .run(tx)
    .await
}
