//! Which positions of which slices a job carries.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use uuid::Uuid;

use super::facts::FactsStamp;
use crate::domain::reason::Step;
use crate::store::StoreError;
use crate::store::slices::array_literal;
use crate::store::slices::patch::Patch;
use crate::store::slices::{Place, SliceKey};
use crate::store::tx::{Rows as _, Tx, Writes as _};

/// The positions of one slice in a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) positions: BTreeSet<usize>,
    /// Those that an earlier job of the purge had carried already.
    pub(super) carried_before: BTreeSet<usize>,
    /// The facts on which they were drawn or rechecked.
    pub(super) facts: Option<FactsStamp>,
    /// Those that got an answer in this round of looks, and stay.
    pub(super) looked: BTreeSet<usize>,
    /// Some of its positions are no positions.
    is_unreadable: bool,
}

impl Part {
    /// What it says can be true of a slice of so many conversations.
    fn fits(&self, conversations: usize) -> bool {
        !self.is_unreadable && self.positions.last().is_none_or(|last| *last < conversations)
    }
}

/// All parts of a job, in the lock order of slices.
pub(super) type Parts = BTreeMap<SliceKey, Part>;

/// Locks slices for work on jobs that carry some of them; what a part can't be true of is left out, as if it could not be
/// read itself.
pub(super) async fn lock(
    tx: &mut Tx,
    step: Step,
    job: Option<Uuid>,
    keys: Vec<SliceKey>,
    parts: impl IntoIterator<Item = &Parts>,
) -> Result<Patch, StoreError> {
    let mut patch = Patch::lock(tx, step, job, keys).await?;
    for (key, part) in parts.into_iter().flatten() {
        if patch.slice(*key).is_some_and(|slice| !part.fits(slice.ids.len())) {
            patch.leave_out(*key, "the positions that a job carries of it can't be read".to_owned());
        }
    }
    Ok(patch)
}

/// Removes the conversations of left-out slices from a job; returns the ids.
pub(super) fn take_left_out(parts: &mut Parts, patch: &Patch) -> Vec<Uuid> {
    let mut taken = Vec::new();
    parts.retain(|key, part| {
        let Some(ids) = patch.ids_left_out(*key) else { return true };
        taken.extend(part.positions.iter().filter_map(|&position| ids.get(position)));
        false
    });
    taken
}

/// Every place of a job, in order.
pub(super) fn places(parts: &Parts) -> impl Iterator<Item = Place> {
    parts
        .iter()
        .flat_map(|(&slice, part)| part.positions.iter().map(move |&position| Place { slice, position }))
}

/// Every position of a job with its id, from the locked slices.
pub(super) fn with_ids(parts: &Parts, patch: &Patch) -> Vec<(Place, Uuid)> {
    places(parts)
        .filter_map(|place| Some((place, *patch.slice(place.slice)?.ids.get(place.position)?)))
        .collect()
}

/// What a job carries of these places alone, and by which facts.
pub(super) fn some_of(parts: &Parts, some: &[(Place, Uuid)]) -> Parts {
    let mut own = Parts::new();
    for (place, _) in some {
        let from = parts.get(&place.slice);
        let part = own.entry(place.slice).or_default();
        part.positions.insert(place.position);
        part.facts = from.and_then(|from| from.facts);
        if from.is_some_and(|from| from.carried_before.contains(&place.position)) {
            part.carried_before.insert(place.position);
        }
    }
    own
}

/// Adds what another job carried; the facts of a part are as old as the oldest in it.
pub(super) fn add(parts: &mut Parts, others: Parts) {
    for (slice, other) in others {
        let part = parts.entry(slice).or_default();
        part.facts = if part.positions.is_empty() {
            other.facts
        } else {
            part.facts.zip(other.facts).map(|(facts, other)| facts.oldest(other))
        };
        part.positions.extend(other.positions);
        part.carried_before.extend(other.carried_before);
    }
}

/// Takes places out of a job.
pub(super) fn remove(parts: &mut Parts, leaving: &[(Place, Uuid)]) {
    for (place, _) in leaving {
        if let Some(part) = parts.get_mut(&place.slice) {
            part.positions.remove(&place.position);
            part.looked.remove(&place.position);
        }
    }
}

pub(super) async fn load(tx: &mut Tx, job: Uuid) -> Result<Parts, StoreError> {
    Ok(load_all(tx, &[job]).await?.remove(&job).unwrap_or_default())
}

/// The parts of several jobs.
pub(super) async fn load_all(tx: &mut Tx, jobs: &[Uuid]) -> Result<HashMap<Uuid, Parts>, StoreError> {
    let rows = sqlx::query!(
        "-- load_parts
        select job_id, purge_id, slice_no, positions, carried_before, facts_at, facts_epoch, looked
        from job_parts
        where job_id = any($1)",
        jobs
    )
    .all(tx)
    .await?;
    let set =
        |positions: &[i16]| positions.iter().filter_map(|&position| usize::try_from(position).ok()).collect();
    let mut jobs = HashMap::<Uuid, Parts>::new();
    for row in rows {
        let part = Part {
            positions: set(&row.positions),
            carried_before: set(&row.carried_before),
            facts: FactsStamp::of(row.facts_at.map(SqlTimestamp::to_jiff), row.facts_epoch),
            looked: set(&row.looked),
            is_unreadable: [&row.positions, &row.carried_before, &row.looked]
                .into_iter()
                .flatten()
                .any(|at| *at < 0),
        };
        jobs.entry(row.job_id).or_default().insert(SliceKey { purge: row.purge_id, no: row.slice_no }, part);
    }
    Ok(jobs)
}

/// Removes all parts of jobs that no longer carry anything.
pub(super) async fn drop_all(tx: &mut Tx, jobs: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!("-- drop_parts\ndelete from job_parts where job_id = any($1)", jobs).run(tx).await?;
    Ok(())
}

/// Stores the parts of a job in place of those that it had.
pub(super) async fn store(tx: &mut Tx, job: Uuid, parts: &Parts) -> Result<(), StoreError> {
    drop_all(tx, &[job]).await?;
    let literal = |positions: &BTreeSet<usize>| {
        let positions: Vec<i16> =
            positions.iter().filter_map(|&position| i16::try_from(position).ok()).collect();
        array_literal(&positions)
    };
    let kept: Vec<(&SliceKey, &Part)> = parts.iter().filter(|(_, part)| !part.positions.is_empty()).collect();
    sqlx::query!(
        "-- store_parts
        insert into job_parts (job_id, purge_id, slice_no, positions, carried_before, facts_at, facts_epoch, looked)
        select $1, purge_id, slice_no, positions::smallint[], carried_before::smallint[], facts_at, facts_epoch,
               looked::smallint[]
        from unnest($2::uuid[], $3::int[], $4::text[], $5::text[], $6::timestamptz[], $7::bigint[], $8::text[])
             as new (purge_id, slice_no, positions, carried_before, facts_at, facts_epoch, looked)",
        job,
        &kept.iter().map(|(key, _)| key.purge).collect::<Vec<_>>(),
        &kept.iter().map(|(key, _)| key.no).collect::<Vec<_>>(),
        &kept.iter().map(|(_, part)| literal(&part.positions)).collect::<Vec<_>>(),
        &kept.iter().map(|(_, part)| literal(&part.carried_before)).collect::<Vec<_>>(),
        &kept.iter().map(|(_, part)| part.facts.map(|facts| facts.at.to_sqlx())).collect::<Vec<_>>() as _,
        &kept.iter().map(|(_, part)| part.facts.map(|facts| facts.epoch)).collect::<Vec<_>>() as _,
        &kept.iter().map(|(_, part)| literal(&part.looked)).collect::<Vec<_>>()
    )
    .exactly(tx, kept.len())
    .await
}
