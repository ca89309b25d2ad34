//! Claims the slices for one details call, in packing's fair order.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::SliceKey;
use crate::domain::outcome::{Cell, Outcome};
use crate::domain::retention::Policy;
use crate::domain::terms::OrgTerms;
use crate::store::orgs::limiter::{self, Permit};
use crate::store::orgs::{block, policy, stop};
use crate::store::purges::start;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// One slice of a question.
#[derive(Debug, Clone)]
pub struct Asked {
    pub slice: SliceKey,
    /// The lease under which it is asked about.
    pub epoch: i64,
    /// Its purge only wants to know.
    pub is_dry_run: bool,
    /// Fruitless questions in a row.
    pub(super) tries: i16,
    /// Those among them that failed for themselves.
    pub(super) fruitless: i16,
    /// The positions that need facts, each with its id.
    pub conversations: Vec<(usize, Uuid)>,
}

/// A claimed question: whose facts to ask, and by which rules to judge them.
#[derive(Debug, Clone)]
pub struct Question {
    /// The rules in force when it was claimed.
    pub policy: Policy,
    pub policy_epoch: i64,
    /// When it was claimed, by the database's clock: no later than the call.
    pub asked_at: Timestamp,
    /// Questions without an answer about any of the slices, in a row.
    pub tries: u32,
    /// Those among them that failed for themselves.
    pub fruitless: u32,
    pub slices: Vec<Asked>,
}

impl Question {
    /// All ids, in the order of the slices.
    pub fn ids(&self) -> Vec<Uuid> {
        self.slices.iter().flat_map(|asked| asked.conversations.iter().map(|&(_, id)| id)).collect()
    }
}

/// Which purges may be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those whose conversations slots need: all but dry runs.
    ForSlots,
    /// Those that were never asked about, and dry runs: they wait for no slot.
    FirstAndDryRuns,
}

/// What a claim found.
#[derive(Debug)]
pub enum Claim<T> {
    /// Claimed, with the permit for its call.
    Claimed(T, Permit),
    /// There is work, but no call is allowed at present.
    NoPermit,
    Nothing,
}

impl<T> Claim<T> {
    /// More may be due at once. Where another process took the last permit, the next survey tells when there is one.
    pub const fn has_moved(&self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

impl Store {
    /// Claims up to a details call's worth of slices; `is_probe`: it is the one try of a blocked org.
    pub async fn claim_slices(
        &self,
        org: &OrgTerms,
        reach: Reach,
        lease: Duration,
        is_probe: bool,
    ) -> Result<Claim<Question>, StoreError> {
        let mut tx = self.begin("claim_slices").await?;
        if is_probe && !block::use_probe(&mut tx, &org.name).await? {
            return Ok(Claim::Nothing);
        }
        let keys = choose(&mut tx, org, reach).await?;
        if keys.is_empty() {
            return Ok(Claim::Nothing);
        }
        let slices = lease_slices(&mut tx, &keys, lease).await?;
        if slices.is_empty() {
            return Ok(Claim::Nothing);
        }
        let mut purges: Vec<Uuid> = slices.iter().map(|asked| asked.slice.purge).collect();
        purges.dedup();
        if !start::start(self, &mut tx, &purges).await? {
            return Ok(Claim::Nothing);
        }
        let rules = policy::in_force(&mut tx, &org.name).await?;
        let Ok(permit) = limiter::take(&mut tx, org, limiter::Call::Details).await? else {
            return Ok(Claim::NoPermit);
        };
        // Under the limiter's lock, which a stop takes too: nothing is claimed once it was answered.
        if stop::is_stopped(&mut tx, &org.name).await? {
            return Ok(Claim::Nothing);
        }
        tx.commit().await?;
        let tries = slices.iter().map(|asked| asked.tries.unsigned_abs()).max().unwrap_or_default();
        let fruitless = slices.iter().map(|asked| asked.fruitless.unsigned_abs()).max().unwrap_or_default();
        let question = Question {
            policy: rules.policy,
            policy_epoch: rules.epoch,
            asked_at: rules.read_at,
            tries: tries.into(),
            fruitless: fruitless.into(),
            slices,
        };
        Ok(Claim::Claimed(question, permit))
    }
}

impl Store {
    /// Nothing is asked about these purges any more for now: one of them rests, or their org is stopped.
    pub async fn may_not_ask(&self, org: &str, purges: &[Uuid]) -> Result<bool, StoreError> {
        let mut tx = self.begin("may_not_ask").await?;
        sqlx::query_scalar!(
            r#"-- may_not_ask
            select exists (select from orgs where name = $1 and stopped_at is not null)
                or exists (select from purges where id = any($2) and state not in ('queued', 'running')) as "rests!""#,
            org,
            purges
        )
        .one(&mut tx)
.await
    }
}

/// The purges that may be asked about and have something due, in the order of their turn.
async fn candidates(tx: &mut Tx, org: &str, reach: Reach) -> Result<Vec<Uuid>, StoreError> {
    match reach {
        Reach::ForSlots => {
            sqlx::query_scalar!(
                "-- candidates_for_slots
                select p.id
                from purges p
                where p.org = $1 and p.pending > 0 and p.finished_at is null and p.state in ('queued', 'running')
                  and not p.dry_run
                  and exists (
                      select from slices s
                      where s.purge_id = p.id and s.state = 'queued' and s.run_at <= clock_timestamp()
                  )
                order by p.turn_at
                limit 200",
                org
            )
            .all(tx)
            .await
        }
        Reach::FirstAndDryRuns => {
            sqlx::query_scalar!(
                r#"-- candidates_first_and_dry
                (
                    select id from purges
                    where org = $1 and state = 'queued' and pending > 0 and finished_at is null
                    order by turn_at
                    limit 200
                )
                union all
                (
                    select p.id
                    from purges p
                    where p.org = $1 and p.dry_run and p.pending > 0 and p.finished_at is null and p.state = 'running'
                      and exists (
                          select from slices s
                          where s.purge_id = p.id and s.state = 'queued' and s.run_at <= clock_timestamp()
                      )
                    order by p.turn_at
                    limit 200
                )"#,
                org
            )
            .all(tx)
            .await
            .map(|ids| ids.into_iter().flatten().collect())
        }
    }
}

/// So many questions about a slice failed in a row that something in it may be what makes them fail.
const SUSPECT: i16 = 2;

/// Chooses whole slices, by the turn of their purges, until the call is full.
async fn choose(tx: &mut Tx, org: &OrgTerms, reach: Reach) -> Result<Vec<SliceKey>, StoreError> {
    let candidates = candidates(tx, &org.name, reach).await?;
    let rows = sqlx::query!(
        r#"-- choose_slices_to_validate
        select s.purge_id as "purge_id!", s.slice_no as "slice_no!", s.pending as "pending!",
               s.fruitless as "fruitless!"
        from unnest($1::uuid[]) with ordinality as c (purge_id, turn)
        cross join lateral (
            select purge_id, slice_no, pending, run_at, fruitless
            from slices
            where purge_id = c.purge_id and state = 'queued' and run_at <= clock_timestamp()
            order by run_at, slice_no
            limit 50
        ) s
        order by c.turn, s.run_at, s.slice_no
        limit 500"#,
        &candidates
    )
    .all(tx)
    .await?;
    let (mut keys, mut room) = (Vec::new(), org.details_batch);
    for row in rows {
        let pending = usize::try_from(row.pending).unwrap_or_default();
        if row.fruitless >= SUSPECT {
            // Whatever makes its questions fail must not make others' fail: it is asked about alone.
            if keys.is_empty() {
                return Ok(vec![SliceKey { purge: row.purge_id, no: row.slice_no }]);
            }
            continue;
        }
        // A slice may be larger than a call; it is cut when it is asked about.
        if pending <= room || keys.is_empty() {
            keys.push(SliceKey { purge: row.purge_id, no: row.slice_no });
            room = room.saturating_sub(pending);
        }
        if room == 0 {
            break;
        }
    }
    Ok(keys)
}

async fn lease_slices(tx: &mut Tx, keys: &[SliceKey], lease: Duration) -> Result<Vec<Asked>, StoreError> {
    let rows = sqlx::query!(
        r#"-- lease_slices
        with chosen as (
            select s.purge_id, s.slice_no
            from slices s
            join unnest($1::uuid[], $2::int[]) as wanted (purge_id, slice_no)
              on (s.purge_id, s.slice_no) = (wanted.purge_id, wanted.slice_no)
            where s.state = 'queued' and s.run_at <= clock_timestamp()
            order by s.purge_id, s.slice_no
            for update of s skip locked
        )
        update slices s
        set state = 'validating', epoch = s.epoch + 1,
            lease_until = clock_timestamp() + make_interval(secs => $3)
        from chosen
        join purges p on p.id = chosen.purge_id
        where (s.purge_id, s.slice_no) = (chosen.purge_id, chosen.slice_no)
        returning s.purge_id, s.slice_no, s.epoch, s.ids, s.outcomes, s.tries, s.fruitless, p.dry_run"#,
        &keys.iter().map(|key| key.purge).collect::<Vec<_>>(),
        &keys.iter().map(|key| key.no).collect::<Vec<_>>(),
        lease.as_secs_f64()
    )
    .all(tx)
    .await?;
    let mut slices: Vec<Asked> = rows
        .into_iter()
        .map(|row| {
            let pending =
                |byte: &u8| Cell::from_byte(*byte).is_some_and(|cell| cell.outcome == Outcome::Pending);
            let conversations = row
                .outcomes
                .iter()
                .zip(row.ids)
                .enumerate()
                .filter_map(|(position, (byte, id))| pending(byte).then_some((position, id)))
                .collect();
            let slice = SliceKey { purge: row.purge_id, no: row.slice_no };
            Asked {
                slice,
                epoch: row.epoch,
                is_dry_run: row.dry_run,
                tries: row.tries,
                fruitless: row.fruitless,
                conversations,
            }
        })
        .collect();
    slices.sort_by_key(|asked| asked.slice);
    Ok(slices)
}
