//! Claims the slices for one details call, in a fair order of its own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::SliceKey;
use super::choose::{self, Askable};
use crate::domain::pieces::Pieces;
use crate::domain::retention::Policy;
use crate::domain::sight::Control;
use crate::domain::terms::OrgTerms;
use crate::store::error::ensure_rows;
use crate::store::orgs::block;
use crate::store::orgs::limiter::{self, Permit};
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
    /// The positions that are asked about, each with its id. Others of the slice may need facts, too.
    pub conversations: Vec<(usize, Uuid)>,
    /// The positions among them that got no answer even alone.
    pub(super) silent: Vec<usize>,
}

/// A claimed query: its ids, and the rules by which to judge the facts.
#[derive(Debug, Clone)]
pub struct Question {
    /// The rules in force when it was claimed.
    pub policy: Policy,
    pub policy_epoch: i64,
    /// When it was claimed, by the database's clock: no later than the call.
    pub asked_at: Timestamp,
    /// Questions without an answer about any of the slices, in a row.
    pub tries: u32,
    pub slices: Vec<Asked>,
    /// By which its answers are checked.
    pub controls: Vec<Control>,
}

impl Question {
    /// All ids, each once, in the order of the slices.
    pub fn ids(&self) -> Vec<Uuid> {
        let mut seen = HashSet::new();
        let ids = self.slices.iter().flat_map(|asked| asked.conversations.iter().map(|&(_, id)| id));
        ids.filter(|id| seen.insert(*id)).collect()
    }

    /// All ids, as they are to be cut into calls of so many: those that had no trouble first, and whatever fails for itself
    /// with nobody else.
    pub fn pieces(&self, largest: usize) -> Pieces<Uuid> {
        let mut troubles = HashMap::<Uuid, Trouble>::new();
        for asked in &self.slices {
            for (position, id) in &asked.conversations {
                let trouble = if asked.silent.contains(position) {
                    Trouble::Silent
                } else {
                    Trouble::Fruitless(asked.fruitless.max(0).unsigned_abs())
                };
                let known = troubles.entry(*id).or_insert(trouble);
                *known = trouble.max(*known);
            }
        }
        let mut groups = BTreeMap::<Trouble, Vec<Uuid>>::new();
        for id in self.ids() {
            groups.entry(troubles.get(&id).copied().unwrap_or_default()).or_default().push(id);
        }
        groups.into_iter().fold(Pieces::new(largest), |pieces, (trouble, mut ids)| match trouble {
            Trouble::Fruitless(times) => pieces.with(ids, times.into()),
            Trouble::Silent => {
                // A call without an answer after the other may end the question, so that others stand first each time.
                let by = usize::try_from(self.tries).unwrap_or_default() % ids.len();
                ids.rotate_left(by);
                pieces.with_silent(ids)
            }
        })
    }
}

/// How the last questions about an id went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// Queries in a row without an answer.
    Fruitless(u16),
    /// It got no answer even alone.
    Silent,
}

impl Default for Trouble {
    fn default() -> Self {
        Self::Fruitless(0)
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

/// The result of a claim.
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
    /// Claims up to a details call's worth of ids; `is_probe`: it is the one try of a blocked org.
    pub async fn claim_slices(
        &self,
        org: &OrgTerms,
        reach: Reach,
        lease: Duration,
        is_probe: bool,
    ) -> Result<Claim<Question>, StoreError> {
        self.retried(|| self.try_claim_slices(org, reach, lease, is_probe)).await
    }

    async fn try_claim_slices(
        &self,
        org: &OrgTerms,
        reach: Reach,
        lease: Duration,
        is_probe: bool,
    ) -> Result<Claim<Question>, StoreError> {
        loop {
            match self.claim_readable(org, reach, lease, is_probe).await? {
                Ok(claim) => return Ok(claim),
                // The others are claimed without them.
                Err(unreadable) => self.set_aside(unreadable).await?,
            }
        }
    }

    /// Claims nothing if some of the slices in line are unreadable, and names these.
    async fn claim_readable(
        &self,
        org: &OrgTerms,
        reach: Reach,
        lease: Duration,
        is_probe: bool,
    ) -> Result<Result<Claim<Question>, Vec<SliceKey>>, StoreError> {
        let mut tx = self.begin("claim_slices").await?;
        if is_probe && !block::use_probe(&mut tx, &org.name).await? {
            return Ok(Ok(Claim::Nothing));
        }
        let wanted = choose::choose(&mut tx, org, reach).await?;
        if wanted.keys.is_empty() {
            return Ok(Ok(Claim::Nothing));
        }
        let mut slices = match choose::lock(&mut tx, &wanted.keys).await? {
            Ok(slices) => slices,
            Err(unreadable) => return Ok(Err(unreadable)),
        };
        choose::pick(&wanted, &mut slices);
        if slices.is_empty() {
            return Ok(Ok(Claim::Nothing));
        }
        let slices = self::lease(&mut tx, slices, lease).await?;
        let mut purges: Vec<Uuid> = slices.iter().map(|asked| asked.slice.purge).collect();
        purges.dedup();
        if !start::start(self, &mut tx, &purges).await? {
            return Ok(Ok(Claim::Nothing));
        }
        let Ok((permit, rules)) = limiter::take_by_rules(&mut tx, org).await? else {
            return Ok(Ok(Claim::NoPermit));
        };
        // Under the limiter's lock, which a stop takes too: nothing is claimed once it was answered.
        if rules.is_stopped || rules.are_facts_blocked && !is_probe {
            return Ok(Ok(Claim::Nothing));
        }
        tx.commit().await?;
        let tries = slices.iter().map(|asked| asked.tries.unsigned_abs()).max().unwrap_or_default();
        let question = Question {
            policy: rules.policy,
            policy_epoch: rules.epoch,
            asked_at: rules.read_at,
            tries: tries.into(),
            slices,
            controls: rules.controls,
        };
        Ok(Ok(Claim::Claimed(question, permit)))
    }
}

impl Store {
    /// These purges may not be queried for now: one of them is paused, or their org is stopped.
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

/// Leases the slices for the query of the chosen ids.
async fn lease(tx: &mut Tx, slices: Vec<Askable>, lease: Duration) -> Result<Vec<Asked>, StoreError> {
    let asked = |askable: &Askable| i16::try_from(askable.pending.len()).unwrap_or(i16::MAX);
    let rows = sqlx::query!(
        r#"-- lease_slices
        update slices s
        set state = 'validating', epoch = s.epoch + 1, asked = leased.asked,
            lease_until = clock_timestamp() + make_interval(secs => $4)
        from unnest($1::uuid[], $2::int[], $3::smallint[]) as leased (purge_id, slice_no, asked)
        where (s.purge_id, s.slice_no) = (leased.purge_id, leased.slice_no)
        returning s.purge_id, s.slice_no, s.epoch"#,
        &slices.iter().map(|askable| askable.slice.purge).collect::<Vec<_>>(),
        &slices.iter().map(|askable| askable.slice.no).collect::<Vec<_>>(),
        &slices.iter().map(asked).collect::<Vec<_>>(),
        lease.as_secs_f64()
    )
    .all(tx)
    .await?;
    ensure_rows("lease_slices", rows.len() as u64, slices.len())?;
    let epochs: HashMap<SliceKey, i64> =
        rows.into_iter().map(|row| (SliceKey { purge: row.purge_id, no: row.slice_no }, row.epoch)).collect();
    let asked = |askable: Askable| {
        Some(Asked {
            slice: askable.slice,
            epoch: *epochs.get(&askable.slice)?,
            is_dry_run: askable.is_dry_run,
            tries: askable.tries,
            fruitless: askable.fruitless,
            silent: askable.silent,
            conversations: askable.pending,
        })
    };
    Ok(slices.into_iter().filter_map(asked).collect())
}
