//! Intends: every check once more, a slot and a call permit taken. The commit of this transaction IS the intent.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use super::facts::FactsStamp;
use super::intend_checks::{Conditions, check};
use super::lease::JobLease;
use super::parts::{self, Parts};
use super::search::Standing;
use super::{ending, pack, reserve};
use crate::crash;
use crate::domain::intent::Check;
use crate::domain::outcome::{Marks, Outcome};
use crate::domain::packing::slots_for_children;
use crate::domain::reason::{Step, codes};
use crate::domain::rewind::Ground;
use crate::domain::state::JobResult;
use crate::domain::terms::{EngineTerms, OrgTerms};
use crate::store::orgs::block;
use crate::store::orgs::limiter::{self, Call};
use crate::store::orgs::lock::{self, LockedOrg};
use crate::store::rewind::Grounds;
use crate::store::slices::patch::Patch;
use crate::store::slices::{Place, SliceKey};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError, migrations};

/// A committed intent: the only thing that may be submitted, until its deadline.
#[derive(Debug)]
pub struct Intent {
    /// The job and the lease under which its answer is recorded.
    pub lease: JobLease,
    /// Its ids, in the order of the body.
    pub ids: Vec<Uuid>,
    /// The call begins before this time or not at all.
    pub call_before: Instant,
    /// The same time by the wall clock: the monotonic clock stands still while the machine is suspended.
    pub wall_deadline: Timestamp,
    /// How many intents this job has had.
    pub attempt: i32,
    /// It is as packing made it: no job that conflicted, and no part of one.
    pub is_as_packed: bool,
}

/// The result of an attempt to intend.
#[derive(Debug)]
pub enum Intended {
    /// The intent is committed.
    Intent(Intent),
    /// A job changed without becoming an intent; there may be another.
    Changed,
    /// No call is allowed at present.
    NoPermit,
    /// No job may be submitted now.
    Nothing,
}

/// When an intent was started, by both clocks of this process.
#[derive(Clone, Copy)]
struct Began {
    at: Instant,
    own_time: Timestamp,
}

/// A waiting job that was chosen.
#[derive(Clone, Copy)]
struct Waiting {
    job: Uuid,
    /// Its ids were rechecked as a whole, and must be again when those facts are too old.
    is_rechecked: bool,
    /// It is the rest of a batch that conflicted, and no piece to be submitted yet.
    standing: Option<Standing>,
}

/// How long a job that could not become an intent waits, so that it delays no other.
const POSTPONED: Duration = Duration::from_secs(30);

impl Store {
    /// Commits an intent for the oldest waiting job that may go.
    ///
    /// `own_time`: the time of this process, just now.
    pub async fn intend(
        &self,
        org: &OrgTerms,
        terms: &EngineTerms,
        own_time: Timestamp,
    ) -> Result<Intended, StoreError> {
        self.retried(|| self.try_intend(org, terms, own_time)).await
    }

    async fn try_intend(
        &self,
        org: &OrgTerms,
        terms: &EngineTerms,
        own_time: Timestamp,
    ) -> Result<Intended, StoreError> {
        // Before the first statement, so that the deadline can only come out too early.
        let began = Began { at: Instant::now(), own_time };
        let mut tx = self.begin("intend").await?;
        let locked = lock::lock(&mut tx, &org.name).await?;
        if locked.is_shut {
            return Ok(Intended::Nothing);
        }
        let Some(waiting) = choose(&mut tx, org, &locked, &self.grounds).await? else {
            return Ok(Intended::Nothing);
        };
        let intended = match waiting.standing {
            None => {
                let intending = Box::pin(self.intend_job(tx, org, terms, &locked, waiting, began));
                self.caught("intend", &org.name, intending).await
            }
            Some(standing) => {
                let making = Box::pin(self.make_piece(tx, org, waiting.job, standing));
                self.caught("intend", &org.name, making).await.map(|()| Intended::Changed)
            }
        };
        match intended {
            Err(error) if !error.is_outage() => {
                tracing::error!(job = %waiting.job, %error, "a job can't be submitted as it is; others go first");
                self.postpone(waiting.job, &error).await?;
                Ok(Intended::Changed)
            }
            intended => intended,
        }
    }

    async fn intend_job(
        &self,
        mut tx: Tx,
        org: &OrgTerms,
        terms: &EngineTerms,
        locked: &LockedOrg,
        waiting: Waiting,
        began: Began,
    ) -> Result<Intended, StoreError> {
        let mut parts = parts::load(&mut tx, waiting.job).await?;
        let conditions = Conditions {
            org: &org.name,
            job: waiting.job,
            now: locked.now,
            policy_epoch: locked.policy_epoch,
            max_age: terms.validation_max_age,
            asked_from: locked.intents_from,
        };
        if waiting.is_rechecked && !parts.values().all(|part| conditions.are_fresh(part.facts)) {
            // Such a job must not be split up: it is rechecked as a whole.
            want_recheck(&mut tx, waiting.job).await?;
            tx.commit().await?;
            return Ok(Intended::Changed);
        }
        let keys = parts.keys().copied().collect();
        let mut patch = parts::lock(&mut tx, Step::Intend, Some(waiting.job), keys, [&parts]).await?;
        reserve::leave_out(&mut tx, &patch, &org.name, waiting.job, &mut parts).await?;
        let staying = sift(&mut tx, &mut patch, &conditions, &mut parts).await?;
        parts::store(&mut tx, waiting.job, &parts).await?;
        if staying.is_empty() {
            ending::finish(&mut tx, waiting.job, JobResult::Withdrawn, None).await?;
            patch.write(self, &mut tx).await?;
            tx.commit().await?;
            return Ok(Intended::Changed);
        }
        let ids: Vec<Uuid> = staying.iter().map(|(_, id)| *id).collect();
        crash::over("intend", ids.iter().copied());
        let life = terms.intent_ttl.min(terms.lease);
        let Promised { epoch, attempt, is_as_packed } =
            promise(&mut tx, waiting.job, &ids, life, terms.lease).await?;
        if locked.is_probe && !block::use_probe(&mut tx, &org.name).await? {
            return Ok(Intended::Nothing);
        }
        patch.write(self, &mut tx).await?;
        let Ok(permit) = limiter::take(&mut tx, org, Call::Submit).await? else {
            return Ok(Intended::NoPermit);
        };
        tx.commit().await?;
        let lease = JobLease { job: waiting.job, epoch };
        let call_before = (began.at + life).min(permit.valid_until);
        let life = SignedDuration::try_from(call_before - began.at).unwrap_or(SignedDuration::ZERO);
        let wall_deadline = began.own_time.checked_add(life).unwrap_or(began.own_time);
        Ok(Intended::Intent(Intent { lease, ids, call_before, wall_deadline, attempt, is_as_packed }))
    }

    /// Moves a job that can't be submitted now behind the others.
    async fn postpone(&self, job: Uuid, error: &StoreError) -> Result<(), StoreError> {
        let mut tx = self.begin("postpone_job").await?;
        let error = serde_json::json!({ "call": "submit", "message": error.to_string() });
        sqlx::query!(
            "-- postpone_job
            update jobs
            set run_at = clock_timestamp() + make_interval(secs => $2), tries = least(tries + 1, 1000), last_error = $3
            where id = $1 and state = 'waiting'",
            job,
            POSTPONED.as_secs_f64(),
            error
        )
        .run(&mut tx)
        .await?;
        tx.commit().await
    }
}

/// The oldest waiting job, if the database has not gone back in time and a slot is free for it. Children of a conflict
/// leave slots to others. If too many conflicts block the org, only a job as packed can lift the block, so those come
/// first.
async fn choose(
    tx: &mut Tx,
    org: &OrgTerms,
    locked: &LockedOrg,
    grounds: &Grounds,
) -> Result<Option<Waiting>, StoreError> {
    let known = grounds.known();
    let counts = sqlx::query!(
        r#"-- count_slots
        select count(*) filter (where takes_slot) as "taken!",
               count(*) filter (where takes_slot and parent is not null) as "by_children!",
               count(*) filter (
                   where next_step = 'intend' and parent is null and due_at <= clock_timestamp()
               ) as "others!",
               count(*) filter (
                   where next_step = 'intend' and parent is null and not conflicted and due_at <= clock_timestamp()
               ) as "as_packed!",
               (select count(*) from slots_kept where org = $1) as "kept!",
               (select true from purges_drawable where org = $1 order by turn_at, id limit 1) is not null as "can_pack!",
               (select oldest from schema_floor) as "oldest!",
               g.system as "system!", g.timeline as "timeline!", g.position as "position!"
        from ground g
        left join jobs on org = $1 and state <> 'done'
        group by g.system, g.timeline, g.position"#,
        org.name
    )
    .one(tx)
    .await?;
    let found = Ground { system: counts.system, timeline: counts.timeline, position: counts.position };
    if !found.follows(known) {
        tracing::warn!(org = org.name, ?known, ?found, "no submit: the database is not the same as before");
        return Ok(None);
    }
    tx.will_remember(found);
    if is_outgrown(org, counts.oldest) {
        return Ok(None);
    }
    let count = |number: i64| usize::try_from(number).unwrap_or_default();
    if count(counts.taken) >= org.slots {
        return Ok(None);
    }
    let can_pack_others = counts.can_pack || counts.others > 0;
    let may_be_child = slots_for_children(org.slots, count(counts.by_children), can_pack_others) > 0;
    let is_one_packed = counts.as_packed > 0 || counts.can_pack && count(counts.kept) < org.slots;
    let must_be_as_packed = locked.has_too_many_conflicts && is_one_packed;
    let row = sqlx::query!(
        r#"-- choose_waiting_job
        select j.id, j.rechecked, p.standing as "standing?"
        from jobs j
        left join search_pieces p on p.id = j.id
        where j.org = $1 and j.state <> 'done' and j.next_step = 'intend' and j.due_at <= clock_timestamp()
          and (j.parent is null or $2) and not ($3 and (j.parent is not null or j.conflicted))
          and not exists (select from search_pieces_held_back h where h.id = j.id)
        order by j.created_at, j.id
        limit 1
        for update of j skip locked"#,
        org.name,
        may_be_child,
        must_be_as_packed
    )
    .maybe(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let standing = Standing::of(row.standing.as_deref())?;
    Ok(Some(Waiting { job: row.id, is_rechecked: row.rechecked, standing }))
}

/// The schema was upgraded while this process ran, and it would decide by outdated rules.
fn is_outgrown(org: &OrgTerms, oldest: i64) -> bool {
    let is_outgrown = oldest > migrations::needed();
    if is_outgrown {
        tracing::error!(
            org = org.name,
            oldest,
            "no intent: this version is too old for the schema of the database"
        );
    }
    is_outgrown
}

/// Removes ids that may not be submitted, and names the rest.
async fn sift(
    tx: &mut Tx,
    patch: &mut Patch,
    conditions: &Conditions<'_>,
    parts: &mut Parts,
) -> Result<Vec<(Place, Uuid)>, StoreError> {
    let carried = parts::with_ids(parts, patch);
    let checks = check(tx, patch, parts, conditions, &carried).await?;
    let (mut staying, mut leaving, mut outdated) = (Vec::new(), Vec::new(), BTreeMap::new());
    for ((place, id), check) in carried.into_iter().zip(checks) {
        let Some(part) = parts.get_mut(&place.slice) else { continue };
        match check {
            Check::Stays => {
                let was_carried = patch.cell(place).is_some_and(|cell| cell.marks.has(Marks::CARRIED));
                if was_carried {
                    part.carried_before.insert(place.position);
                }
                patch.decide(place, Outcome::Eligible, Outcome::Submitted, codes::INTENT)?;
                patch.mark(place, Marks::CARRIED, Marks::NONE)?;
                staying.push((place, id));
            }
            Check::Leaves(outcome) => {
                if let Some((outcome, reason)) = outcome {
                    if outcome == Outcome::Pending {
                        let since = outdated.entry(place.slice).or_insert(None);
                        *since = since.or(part.facts.filter(|_| reason.code == codes::FACTS_STALE.code));
                    }
                    patch.decide(place, Outcome::Eligible, outcome, reason)?;
                }
                leaving.push((place, id));
            }
            Check::NotOurs => {
                patch.mark(place, Marks::NONE, Marks::RESERVED)?;
                part.positions.remove(&place.position);
            }
        }
    }
    reserve::release(tx, patch, conditions.org, conditions.job, parts, &leaving).await?;
    parts::remove(parts, &leaving);
    for (slice, since) in outdated {
        ask_afresh(patch, slice, since, conditions)?;
    }
    Ok(staying)
}

/// The rest of the slice is queried again, too, if its facts are stale, or as old as the outdated ones: otherwise it would
/// make the new facts old again, and the conversations that left would leave the next job as well.
fn ask_afresh(
    patch: &mut Patch,
    slice: SliceKey,
    outdated: Option<FactsStamp>,
    conditions: &Conditions<'_>,
) -> Result<(), StoreError> {
    let rest = FactsStamp::of_slice(patch, slice);
    let is_as_old = rest.zip(outdated).is_some_and(|(rest, outdated)| rest.at <= outdated.at);
    if conditions.are_fresh(rest) && !is_as_old {
        return Ok(());
    }
    let cells = patch.slice(slice).map(|draft| draft.cells.clone()).unwrap_or_default();
    for (position, _) in cells.iter().enumerate().filter(|(_, cell)| cell.is_drawable()) {
        patch.decide(Place { slice, position }, Outcome::Eligible, Outcome::Pending, codes::FACTS_STALE)?;
    }
    Ok(())
}

/// The columns of the job that the intent wrote.
struct Promised {
    epoch: i64,
    attempt: i32,
    is_as_packed: bool,
}

/// Writes the intent into the job's row.
async fn promise(
    tx: &mut Tx,
    job: Uuid,
    ids: &[Uuid],
    life: Duration,
    lease: Duration,
) -> Result<Promised, StoreError> {
    pack::set_ids(tx, job, ids).await?;
    let now = tx.now().await?;
    sqlx::query_as!(
        Promised,
        r#"-- promise
        update jobs
        set state = 'submitting', epoch = epoch + 1, attempt = attempt + 1, open = size, intended_at = $2,
            lease_until = $2::timestamptz + make_interval(secs => $4),
            call_before = $2::timestamptz + make_interval(secs => $3)
        where id = $1 and state = 'waiting'
        returning epoch, attempt, (parent is null and not conflicted) as "is_as_packed!""#,
        job,
        now.to_sqlx() as _,
        life.as_secs_f64(),
        lease.as_secs_f64()
    )
    .one(tx)
    .await
}

async fn want_recheck(tx: &mut Tx, job: Uuid) -> Result<(), StoreError> {
    sqlx::query!("-- want_recheck\nupdate jobs set recheck = true where id = $1", job).run(tx).await?;
    Ok(())
}
