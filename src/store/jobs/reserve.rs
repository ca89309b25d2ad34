//! Reservations: the key (org, conversation) makes it impossible that two unfinished jobs carry one id.
//!
//! They are made and released only under the org's lock, so that no conversation starts to wait for an id that is just
//! being released. Waiters of a released id are woken afterwards (`purges/wake.rs`).

use std::collections::HashSet;

use uuid::Uuid;

use super::facts::FactsStamp;
use super::parts::{self, Parts};
use crate::domain::outcome::{Marks, Outcome};
use crate::store::StoreError;
use crate::store::findings;
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
    // Who was not woken yet waits for this job from now on.
    sqlx::query!(
        "-- reserve_released
        delete from released where org = $1 and conversation_id = any($2)",
        org,
        &reserved
    )
    .run(tx)
    .await?;
    Ok(reserved.into_iter().collect())
}

/// The ids that a job has not released.
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

/// Removes these conversations from the waiters: their outcome is known.
pub(super) async fn wait_no_more_for(
    tx: &mut Tx,
    org: &str,
    waiting: &[(Place, Uuid)],
) -> Result<(), StoreError> {
    sqlx::query!(
        "-- wait_no_more_for_ids
        delete from waiters w
        using unnest($2::uuid[], $3::uuid[], $4::int[]) as known (id, purge_id, slice_no)
        where w.org = $1 and (w.conversation_id, w.purge_id, w.slice_no) = (known.id, known.purge_id, known.slice_no)",
        org,
        &waiting.iter().map(|(_, id)| *id).collect::<Vec<_>>(),
        &waiting.iter().map(|(place, _)| place.slice.purge).collect::<Vec<_>>(),
        &waiting.iter().map(|(place, _)| place.slice.no).collect::<Vec<_>>()
    )
    .run(tx)
    .await?;
    Ok(())
}

/// Returns conversations that leave a job to their slices, and releases their ids.
///
/// What stays eligible brings the facts by which it was drawn back into its slice, whose facts are as old as the
/// oldest among what it has to draw.
pub(super) async fn release(
    tx: &mut Tx,
    patch: &mut Patch,
    org: &str,
    job: Uuid,
    parts: &Parts,
    leaving: &[(Place, Uuid)],
) -> Result<(), StoreError> {
    give_back(patch, parts, leaving)?;
    let_go(tx, org, &[job], leaving).await
}

/// Ends the reservations of what leaves these jobs and was given back; those that somebody waits for are noted, so that
/// he is woken.
pub(super) async fn let_go(
    tx: &mut Tx,
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
    note_released(tx, org, &ids).await
}

/// Removes the conversations of left-out slices from a job and releases their ids; returns them.
pub(super) async fn leave_out(
    tx: &mut Tx,
    patch: &Patch,
    org: &str,
    job: Uuid,
    parts: &mut Parts,
) -> Result<Vec<Uuid>, StoreError> {
    let ids = parts::take_left_out(parts, patch);
    let_go_left_out(tx, org, &[job], &ids).await?;
    Ok(ids)
}

/// Ends the reservations of what these jobs carried of slices that are left out, as far as they had them.
pub(super) async fn let_go_left_out(
    tx: &mut Tx,
    org: &str,
    jobs: &[Uuid],
    ids: &[Uuid],
) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids = sqlx::query_scalar!(
        "-- release_left_out
        delete from reservations
        where org = $1 and conversation_id = any($2) and job_id = any($3)
        returning conversation_id",
        org,
        ids,
        jobs
    )
    .all(tx)
    .await?;
    note_released(tx, org, &ids).await
}

/// Ends whatever reservations these jobs have to their end: of slices that could not be read to the last. Nobody can tell
/// what became of these ids, so that whoever names them asks afresh.
pub(super) async fn let_go_untold(tx: &mut Tx, jobs: &[Uuid]) -> Result<(), StoreError> {
    let rows = sqlx::query!(
        "-- release_untold
        delete from reservations r
        using jobs j
        where j.id = r.job_id and j.id = any($1)
        returning r.org, r.conversation_id, r.job_id, j.may_delete",
        jobs
    )
    .all(tx)
    .await?;
    let Some(org) = rows.first().map(|row| row.org.clone()) else { return Ok(()) };
    for job in rows.iter().map(|row| row.job_id).collect::<HashSet<_>>() {
        tracing::warn!(org, %job, "a job ended, and the fate of some of its conversations is unknown");
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.conversation_id).collect();
    let carried: Vec<Uuid> =
        rows.iter().filter(|row| row.may_delete).map(|row| row.conversation_id).collect();
    findings::doubt(tx, &org, &carried).await?;
    note_released(tx, &org, &ids).await
}

/// Records the released ids that have waiters.
async fn note_released(tx: &mut Tx, org: &str, ids: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        "-- note_released
        insert into released (org, conversation_id)
        select $1, gone.id
        from unnest($2::uuid[]) as gone (id)
        where exists (select from waiters where org = $1 and conversation_id = gone.id)
        on conflict do nothing",
        org,
        ids
    )
    .run(tx)
    .await?;
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
