//! Reservations: the key (org, conversation) makes it impossible that two unfinished jobs carry one id.
//!
//! They are made and ended under the org's lock alone, so that nobody can begin to wait for an id that is just being
//! let go.

use std::collections::HashSet;

use uuid::Uuid;

use super::facts::FactsStamp;
use super::parts::Parts;
use crate::domain::outcome::{Marks, Outcome};
use crate::store::StoreError;
use crate::store::slices::patch::Patch;
use crate::store::slices::{Place, SliceKey};
use crate::store::tx::{Rows as _, Tx, Writes as _};

/// Reserves the ids for a job; those that another unfinished job has are not among the answer.
pub(super) async fn reserve(
    tx: &mut Tx,
    org: &str,
    job: Uuid,
    ids: &[Uuid],
) -> Result<HashSet<Uuid>, StoreError> {
    let reserved = sqlx::query_scalar!(
        "-- reserve
        insert into reservations (org, conversation_id, job_id)
        select $1, id, $2 from unnest($3::uuid[]) as new (id)
        on conflict do nothing
        returning conversation_id",
        org,
        job,
        ids
    )
    .all(tx)
    .await?;
    Ok(reserved.into_iter().collect())
}

/// The ids that a job has not let go.
pub(super) async fn kept_by(tx: &mut Tx, job: Uuid) -> Result<HashSet<Uuid>, StoreError> {
    let kept = sqlx::query_scalar!(
        "-- ids_kept_by_job
        select conversation_id from reservations where job_id = $1",
        job
    )
    .all(tx)
    .await?;
    Ok(kept.into_iter().collect())
}

/// Has conversations wait until another job lets their ids go.
pub(super) async fn wait_for(
    tx: &mut Tx,
    patch: &mut Patch,
    org: &str,
    waiting: &[(Place, Uuid)],
) -> Result<(), StoreError> {
    if waiting.is_empty() {
        return Ok(());
    }
    for (place, _) in waiting {
        patch.mark(*place, Marks::ELSEWHERE, Marks::NONE)?;
    }
    let position = |place: &Place| i16::try_from(place.position).unwrap_or(i16::MAX);
    sqlx::query!(
        "-- wait_for_ids
        insert into waiters (org, conversation_id, purge_id, slice_no, position)
        select $1, id, purge_id, slice_no, position
        from unnest($2::uuid[], $3::uuid[], $4::int[], $5::smallint[]) as new (id, purge_id, slice_no, position)",
        org,
        &waiting.iter().map(|(_, id)| *id).collect::<Vec<_>>(),
        &waiting.iter().map(|(place, _)| place.slice.purge).collect::<Vec<_>>(),
        &waiting.iter().map(|(place, _)| place.slice.no).collect::<Vec<_>>(),
        &waiting.iter().map(|(place, _)| position(place)).collect::<Vec<_>>()
    )
    .exactly(tx, waiting.len())
.await
}

/// The slices in which conversations wait for ids of these jobs: to be locked with their own, before any is let go.
pub(super) async fn slices_waiting_for(tx: &mut Tx, jobs: &[Uuid]) -> Result<Vec<SliceKey>, StoreError> {
    let rows = sqlx::query!(
        "-- slices_waiting_for
        select distinct w.purge_id, w.slice_no
        from reservations r
        join waiters w on (w.org, w.conversation_id) = (r.org, r.conversation_id)
        where r.job_id = any($1)",
        jobs
    )
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| SliceKey { purge: row.purge_id, no: row.slice_no }).collect())
}

/// Lets ids of a job go, and wakes the conversations that waited for them.
///
/// What stays eligible brings the facts by which it was drawn back into its slice, whose facts are as old as the
/// oldest among what it has to draw.
///
/// What was purged meanwhile is judged afresh: the woken become `pending`, since their facts are from before.
pub(super) async fn release(
    tx: &mut Tx,
    patch: &mut Patch,
    org: &str,
    job: Uuid,
    parts: &Parts,
    leaving: &[(Place, Uuid)],
) -> Result<(), StoreError> {
    give_back(patch, parts, leaving)?;
    let_go(tx, patch, org, &[job], leaving).await
}

/// Ends the reservations of what leaves these jobs and was given back, and wakes who waited.
pub(super) async fn let_go(
    tx: &mut Tx,
    patch: &mut Patch,
    org: &str,
    jobs: &[Uuid],
    leaving: &[(Place, Uuid)],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = leaving.iter().map(|(_, id)| *id).collect();
    sqlx::query!(
        "-- release
        delete from reservations where org = $1 and conversation_id = any($2) and job_id = any($3)",
        org,
        &ids,
        jobs
    )
    .exactly(tx, ids.len())
    .await?;
    let woken = sqlx::query!(
        "-- wake_waiters
        delete from waiters where org = $1 and conversation_id = any($2)
        returning purge_id, slice_no, position",
        org,
        &ids
    )
    .all(tx)
    .await?;
    for row in woken {
        let slice = SliceKey { purge: row.purge_id, no: row.slice_no };
        let place = Place { slice, position: usize::try_from(row.position).unwrap_or_default() };
        patch.mark(place, Marks::NONE, Marks::ELSEWHERE)?;
        if patch.cell(place).is_some_and(|cell| cell.outcome == Outcome::Eligible) {
            patch.decide(
                place,
                Outcome::Eligible,
                Outcome::Pending,
                crate::domain::reason::codes::FACTS_STALE,
            )?;
        }
    }
    Ok(())
}

/// Gives what leaves a job back to its slices, with the facts by which it was drawn. Where several jobs give back to one
/// slice, each is done before the next: what one gave back has its say in how old the facts are.
pub(super) fn give_back(
    patch: &mut Patch,
    parts: &Parts,
    leaving: &[(Place, Uuid)],
) -> Result<(), StoreError> {
    let mut returning: Vec<SliceKey> = leaving
        .iter()
        .filter(|(place, _)| patch.cell(*place).is_some_and(|cell| cell.outcome == Outcome::Eligible))
        .map(|(place, _)| place.slice)
        .collect();
    returning.dedup();
    for slice in returning {
        let Some(brought) = parts.get(&slice).and_then(|part| part.facts) else { continue };
        let own = FactsStamp::of_slice(patch, slice);
        let Some(draft) = patch.slice_mut(slice) else { continue };
        let has_others = draft.cells.iter().any(|cell| cell.is_drawable());
        let stamp = own.filter(|_| has_others).map_or(brought, |own| own.oldest(brought));
        (draft.facts_at, draft.facts_epoch) = (Some(stamp.at), Some(stamp.epoch));
    }
    for (place, _) in leaving {
        patch.mark(*place, Marks::NONE, Marks::RESERVED)?;
    }
    Ok(())
}
