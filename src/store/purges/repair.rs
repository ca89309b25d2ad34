//! Reads slices again that were set aside: those still unreadable wait longer, then they are parked; the others
//! continue once no job has any of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::sweep::{Swept, wait_no_more};
use crate::domain::events::EventType;
use crate::domain::outcome::{Marks, Outcome};
use crate::domain::reason::{Carrying, Step, carrying, codes};
use crate::store::events::{Actor, OfPurge, write_for_purges};
use crate::store::orgs::lock;
use crate::store::slices::patch::Patch;
use crate::store::slices::{Place, SliceKey};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// How many slices are read again at once.
const SLICES_AT_ONCE: i64 = 20;

impl Store {
    /// Reads some more slices again, each in a transaction of its own, but for purges among `except`.
    pub(super) async fn repair_set_aside(
        &self,
        org: &str,
        except: &[Uuid],
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        for slice in self.slices_to_read_again(org, except).await? {
            let repaired = self.read_again(org, slice).await;
            swept.note(slice.purge, repaired)?;
        }
        Ok(())
    }

    async fn slices_to_read_again(&self, org: &str, except: &[Uuid]) -> Result<Vec<SliceKey>, StoreError> {
        let mut tx = self.begin("slices_to_read_again").await?;
        let rows = sqlx::query!(
            r#"-- slices_to_read_again
            select purge_id as "purge!", slice_no as "slice_no!"
            from slices_set_aside
            where org = $1 and read_again_at <= (select clock_timestamp()) and purge_id <> all($2)
            order by read_again_at
            limit $3"#,
            org,
            except,
            SLICES_AT_ONCE
        )
        .all(&mut tx)
        .await?;
        Ok(rows.into_iter().map(|row| SliceKey { purge: row.purge, no: row.slice_no }).collect())
    }

    /// Reads one slice again; `false` if another process has.
    async fn read_again(&self, org: &str, slice: SliceKey) -> Result<bool, StoreError> {
        let mut tx = self.begin("read_again").await?;
        lock::lock(&mut tx, org).await?;
        let Some(found) = due(&mut tx, slice).await? else { return Ok(false) };
        let mut patch = Patch::lock_set_aside(&mut tx, Step::Repair, slice).await?;
        let is_readable = patch.slice(slice).is_some();
        if is_readable && found.is_carried {
            // The result of that job is no longer recorded for this slice.
            wait_for_job(&mut tx, slice).await?;
            tx.commit().await?;
            return Ok(true);
        }
        let now = tx.now().await?;
        if is_readable {
            wait_no_more(&mut tx, &[slice]).await?;
            let carried = carried(&mut tx, slice).await?;
            begin_afresh(&mut patch, slice, &carried, now)?;
            tx.will_wake(org);
        }
        patch.write(self, &mut tx).await?;
        if is_readable && found.is_parked {
            let event = OfPurge {
                purge: slice.purge,
                event: EventType::SliceUnparked,
                job: None,
                payload: json!({ "sliceNo": slice.no }),
                webhook: None,
            };
            write_for_purges(self, &mut tx, Actor::ENGINE, vec![event]).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// A slice that is to be read again.
struct Due {
    is_parked: bool,
    /// A job that is not done carries some of it.
    is_carried: bool,
}

async fn due(tx: &mut Tx, slice: SliceKey) -> Result<Option<Due>, StoreError> {
    sqlx::query_as!(
        Due,
        r#"-- slice_to_read_again
        select parked_at is not null as "is_parked!",
               exists (
                   select from job_parts jp
                   join jobs j on j.id = jp.job_id
                   where jp.purge_id = $1 and jp.slice_no = $2 and j.state <> 'done'
               ) as "is_carried!"
        from slices_set_aside
        where purge_id = $1 and slice_no = $2 and read_again_at <= clock_timestamp()"#,
        slice.purge,
        slice.no
    )
    .maybe(tx)
    .await
}

/// Conversations that a job may have carried, by the decisions: submitted, without a recorded definite no.
async fn carried(tx: &mut Tx, slice: SliceKey) -> Result<BTreeSet<usize>, StoreError> {
    let rows = sqlx::query!(
        r#"-- carried_by_decisions
        select positions, from_outcome as "from: Outcome", to_outcome as "to: Outcome", step
        from decisions
        where purge_id = $1 and slice_no = $2
        order by id"#,
        slice.purge,
        slice.no
    )
    .all(tx)
    .await?;
    let mut intents = BTreeMap::<usize, i32>::new();
    for row in rows {
        let change = match carrying(&row.step, row.from, row.to) {
            Carrying::Begins => 1,
            Carrying::Undone => -1,
            Carrying::Unchanged => continue,
        };
        for position in row.positions.into_iter().filter_map(|position| usize::try_from(position).ok()) {
            *intents.entry(position).or_default() += change;
        }
    }
    Ok(intents.into_iter().filter(|(_, intents)| *intents > 0).map(|(position, _)| position).collect())
}

async fn wait_for_job(tx: &mut Tx, slice: SliceKey) -> Result<(), StoreError> {
    sqlx::query!(
        "-- wait_for_job
        update slices set read_again_at = clock_timestamp() + interval '1 minute' where purge_id = $1 and slice_no = $2",
        slice.purge,
        slice.no
    )
    .exactly(tx, 1)
    .await
}

/// No job has anything of it and it waits for none, whatever its marks say, which may be as garbled as the outcome was;
/// what was not final is asked about afresh. What a job of its purge may have carried counts as carried: what is gone then
/// is never called somebody else's, or canceled.
fn begin_afresh(
    patch: &mut Patch,
    slice: SliceKey,
    carried: &BTreeSet<usize>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(draft) = patch.slice_mut(slice) else { return Ok(()) };
    draft.run_at = Some(now);
    (draft.tries, draft.fruitless) = (0, 0);
    for (position, cell) in draft.cells.clone().into_iter().enumerate() {
        let place = Place { slice, position };
        if cell.outcome == Outcome::Submitted {
            patch.decide(place, Outcome::Submitted, Outcome::Eligible, codes::FATE_UNREAD)?;
        }
        if matches!(cell.outcome, Outcome::Submitted | Outcome::Eligible) {
            patch.decide(place, Outcome::Eligible, Outcome::Pending, codes::FACTS_STALE)?;
        }
        let carried = if carried.contains(&position) { Marks::CARRIED } else { Marks::NONE };
        patch.mark(
            place,
            carried,
            Marks::RESERVED.with(Marks::ELSEWHERE).with(Marks::ABSENT).with(Marks::CARRIED),
        )?;
    }
    Ok(())
}
