//! Packs: a slot is free, so eligible conversations are drawn from ready slices into one full job.

use std::collections::HashSet;

use uuid::Uuid;

use super::facts::FactsStamp;
use super::parts::{self, Parts};
use super::reserve;
use crate::crash;
use crate::domain::outcome::Marks;
use crate::domain::packing::{CANDIDATES, shares};
use crate::domain::reason::Step;
use crate::domain::terms::OrgTerms;
use crate::store::orgs::lock;
use crate::store::slices::patch::Patch;
use crate::store::slices::{Place, SliceKey};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// What a candidate gives to the job.
struct Candidate {
    purge: Uuid,
    take: usize,
}

/// The result of packing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packed {
    /// A job with this many conversations waits for its intent.
    Job(usize),
    /// All that was drawn waits for other jobs; there may be more to draw.
    Waiting,
    /// No slot is free, or nothing is to be drawn.
    Nothing,
}

/// The source of the drawing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    All,
    Purge(Uuid),
    Slice(SliceKey),
}

impl Source {
    fn is_of(self, purge: Uuid) -> bool {
        match self {
            Self::All => true,
            Self::Purge(only) | Self::Slice(SliceKey { purge: only, .. }) => purge == only,
        }
    }

    fn has(self, slice: SliceKey) -> bool {
        match self {
            Self::All | Self::Purge(_) => self.is_of(slice.purge),
            Self::Slice(only) => slice == only,
        }
    }
}

impl Store {
    /// Packs one job, if a slot is free for it.
    pub async fn pack(&self, org: &OrgTerms) -> Result<Packed, StoreError> {
        match self.pack_from(org, Source::All).await {
            Err(error) if !error.is_outage() => Box::pin(self.pack_apart(org, error)).await,
            done => done,
        }
    }

    pub(super) async fn pack_from(&self, org: &OrgTerms, from: Source) -> Result<Packed, StoreError> {
        let packing = Box::pin(self.retried(|| self.try_pack(org, from)));
        self.caught("pack", &org.name, packing).await
    }

    /// The slices that the next job would be drawn from.
    pub(super) async fn slices_to_draw(&self, org: &OrgTerms) -> Result<Vec<SliceKey>, StoreError> {
        let mut tx = self.begin("slices_to_draw").await?;
        let candidates = line_up(&mut tx, org).await?;
        choose_slices(&mut tx, &candidates).await
    }

    async fn try_pack(&self, org: &OrgTerms, from: Source) -> Result<Packed, StoreError> {
        let mut tx = self.begin("pack").await?;
        let locked = lock::lock(&mut tx, &org.name).await?;
        if locked.is_shut || !has_free_slot(&mut tx, org).await? {
            return Ok(Packed::Nothing);
        }
        let mut candidates = line_up(&mut tx, org).await?;
        candidates.retain(|candidate| from.is_of(candidate.purge));
        let mut keys = choose_slices(&mut tx, &candidates).await?;
        keys.retain(|key| from.has(*key));
        if keys.is_empty() {
            return Ok(Packed::Nothing);
        }
        let job = self.new_id();
        let mut patch = Patch::lock(&mut tx, Step::Pack, Some(job), keys.clone()).await?;
        let drawn = draw(&patch, &candidates, &keys);
        crash::over("pack", drawn.iter().map(|(_, id)| *id));
        let size = self.reserve_into(&mut tx, &mut patch, &org.name, job, drawn).await?;
        patch.write(self, &mut tx).await?;
        take_turn(&mut tx, &candidates).await?;
        tx.commit().await?;
        Ok(if size > 0 { Packed::Job(size) } else { Packed::Waiting })
    }

    /// Makes the job from the conversations that could be reserved; the rest waits for the jobs that have them.
    async fn reserve_into(
        &self,
        tx: &mut Tx,
        patch: &mut Patch,
        org: &str,
        job: Uuid,
        drawn: Vec<(Place, Uuid)>,
    ) -> Result<usize, StoreError> {
        // A job carries an id once, even if two purges named it.
        let (mut firsts, mut seen, mut waiting) = (Vec::new(), HashSet::new(), Vec::new());
        for (place, id) in drawn {
            if seen.insert(id) { firsts.push((place, id)) } else { waiting.push((place, id)) }
        }
        insert_job(tx, job, org).await?;
        let ids: Vec<Uuid> = firsts.iter().map(|(_, id)| *id).collect();
        let reserved = reserve::reserve(tx, org, job, &ids).await?;
        let mut parts = Parts::new();
        let mut carried = Vec::new();
        for (place, id) in firsts {
            if !reserved.contains(&id) {
                waiting.push((place, id));
                continue;
            }
            patch.mark(place, Marks::RESERVED, Marks::NONE)?;
            let part = parts.entry(place.slice).or_default();
            part.positions.insert(place.position);
            part.facts = FactsStamp::of_slice(patch, place.slice);
            carried.push(id);
        }
        reserve::wait_for(tx, patch, org, &waiting).await?;
        if carried.is_empty() {
            drop_job(tx, job).await?;
            return Ok(0);
        }
        parts::store(tx, job, &parts).await?;
        set_ids(tx, job, &carried).await?;
        Ok(carried.len())
    }
}

/// Slots that neither a live job holds nor a waiting one will take.
async fn has_free_slot(tx: &mut Tx, org: &OrgTerms) -> Result<bool, StoreError> {
    let taken = sqlx::query_scalar!(
        r#"-- count_taken_slots
        select count(*) as "taken!" from slots_kept where org = $1"#,
        org.name
    )
    .one(tx)
    .await?;
    Ok(usize::try_from(taken).is_ok_and(|taken| taken < org.slots))
}

/// The purges with something to draw, in the order of their turn, and the share of each.
async fn line_up(tx: &mut Tx, org: &OrgTerms) -> Result<Vec<Candidate>, StoreError> {
    let mut rows = sqlx::query!(
        r#"-- line_up
        select id as "id!", drawable as "drawable!"
        from purges_drawable
        where org = $1
        order by turn_at, id
        limit 200"#,
        org.name
    )
    .all(tx)
    .await?;
    rows.truncate(if org.mixes_purges { CANDIDATES } else { 1 });
    let drawable: Vec<usize> =
        rows.iter().map(|row| usize::try_from(row.drawable).unwrap_or_default()).collect();
    let shares = shares(&drawable, org.max_batch);
    Ok(rows
        .into_iter()
        .zip(shares)
        .filter(|(_, take)| *take > 0)
        .map(|(row, take)| Candidate { purge: row.id, take })
        .collect())
}

/// The first slices of each candidate that hold what it gives.
async fn choose_slices(tx: &mut Tx, candidates: &[Candidate]) -> Result<Vec<SliceKey>, StoreError> {
    let takes: Vec<i64> = candidates.iter().map(|one| i64::try_from(one.take).unwrap_or(i64::MAX)).collect();
    let rows = sqlx::query!(
        r#"-- choose_slices_to_draw
        select c.purge_id as "purge_id!", s.slice_no as "slice_no!"
        from unnest($1::uuid[], $2::bigint[]) as c (purge_id, take)
        cross join lateral (
            select slice_no, sum(drawable) over (order by slice_no) - drawable as before
            from slices
            where purge_id = c.purge_id and drawable > 0
            order by slice_no
            -- Each has one at least.
            limit c.take
        ) s
        where s.before < c.take"#,
        &candidates.iter().map(|one| one.purge).collect::<Vec<_>>(),
        &takes
    )
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| SliceKey { purge: row.purge_id, no: row.slice_no }).collect())
}

/// Draws what each candidate gives, from its slices in their order.
fn draw(patch: &Patch, candidates: &[Candidate], keys: &[SliceKey]) -> Vec<(Place, Uuid)> {
    let mut drawn = Vec::new();
    for candidate in candidates {
        let slices = keys.iter().filter(|key| key.purge == candidate.purge);
        let places =
            slices.filter_map(|&slice| Some((slice, patch.slice(slice)?))).flat_map(|(slice, draft)| {
                draft
                    .cells
                    .iter()
                    .zip(&draft.ids)
                    .enumerate()
                    .filter(|(_, (cell, _))| cell.is_drawable())
                    .map(move |(position, (_, &id))| (Place { slice, position }, id))
            });
        drawn.extend(places.take(candidate.take));
    }
    drawn
}

async fn insert_job(tx: &mut Tx, job: Uuid, org: &str) -> Result<(), StoreError> {
    sqlx::query!("-- insert_job\ninsert into jobs (id, org, ids, size) values ($1, $2, '{}', 0)", job, org)
        .run(tx)
        .await?;
    Ok(())
}

async fn drop_job(tx: &mut Tx, job: Uuid) -> Result<(), StoreError> {
    sqlx::query!("-- drop_job\ndelete from jobs where id = $1", job).run(tx).await?;
    Ok(())
}

/// Stores what a job carries.
pub(super) async fn set_ids(tx: &mut Tx, job: Uuid, ids: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        "-- set_job_ids
        update jobs set ids = $2, size = cardinality($2::uuid[]) where id = $1",
        job,
        ids
    )
    .run(tx)
    .await?;
    Ok(())
}

/// Sends the purges that were drawn from to the end of the line.
async fn take_turn(tx: &mut Tx, candidates: &[Candidate]) -> Result<(), StoreError> {
    sqlx::query!(
        "-- take_turn
        update purges set turn_at = clock_timestamp() where id = any($1)",
        &candidates.iter().map(|one| one.purge).collect::<Vec<_>>()
    )
    .run(tx)
    .await?;
    Ok(())
}
