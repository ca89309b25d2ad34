//! Claims looks, and returns the ids to query.

use std::time::Duration;

use uuid::Uuid;

use super::{Look, LookKind};
use crate::domain::outcome::{Cell, Marks};
use crate::domain::state::JobStep;
use crate::domain::terms::OrgTerms;
use crate::store::jobs::JobLease;
use crate::store::jobs::claim::{self, Due};
use crate::store::orgs::limiter;
use crate::store::orgs::policy::Rules;
use crate::store::slices::claim::Claim;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// The steps that are looks.
const LOOKS: [JobStep; 5] =
    [JobStep::Recheck, JobStep::Overdue, JobStep::Reread, JobStep::Verify, JobStep::Late];

impl LookKind {
    /// The look that is the next step of a job; `None` for other steps.
    fn of_step(step: JobStep) -> Option<Self> {
        match step {
            JobStep::Recheck => Some(Self::Recheck),
            JobStep::Reread => Some(Self::Reread),
            JobStep::Verify => Some(Self::Verify),
            JobStep::Overdue => Some(Self::Overdue),
            JobStep::Late => Some(Self::Late),
            JobStep::Intend | JobStep::Poll => None,
        }
    }
}

/// Maximum jobs that share a call, so that the transaction stays small.
const JOBS_A_CALL: usize = 32;

impl Store {
    /// Claims the look that has been due longest, and other due looks whose conversations fit into the same call. A
    /// job whose last look got no answer is queried alone, so that it can't make the call of others fail.
    pub async fn claim_looks(&self, org: &OrgTerms, lease: Duration) -> Result<Claim<Vec<Look>>, StoreError> {
        self.retried(|| self.try_claim_looks(org, lease)).await
    }

    async fn try_claim_looks(&self, org: &OrgTerms, lease: Duration) -> Result<Claim<Vec<Look>>, StoreError> {
        let mut tx = self.begin("claim_look").await?;
        let row = claim::due(&mut tx, &org.name, &LOOKS, lease, None).await?;
        let Some(row) = row else { return Ok(Claim::Nothing) };
        let first = read(&mut tx, row).await?;
        let is_alone = first.row.blind > 0;
        // One place is left for a control.
        let mut room =
            if is_alone { 0 } else { org.details_batch.saturating_sub(1 + first.wanted.ids.len()) };
        let mut claimed = vec![first];
        while room > 0 && claimed.len() < JOBS_A_CALL {
            let row = claim::due(&mut tx, &org.name, &LOOKS, lease, Some(room)).await?;
            let Some(row) = row else { break };
            let other = read(&mut tx, row).await?;
            room = room.saturating_sub(other.wanted.ids.len());
            claimed.push(other);
        }
        let Ok((permit, rules)) = limiter::take_by_rules(&mut tx, org).await? else {
            return Ok(Claim::NoPermit);
        };
        tx.commit().await?;
        let looks = claimed.into_iter().map(|claimed| claimed.by(&rules)).collect();
        Ok(Claim::Claimed(looks, permit))
    }
}

/// A job that was claimed for a look.
struct Claimed {
    row: Due,
    kind: LookKind,
    wanted: Wanted,
}

/// The subject of a look.
#[derive(Default)]
struct Wanted {
    ids: Vec<Uuid>,
    may_end_absent: bool,
}

impl Claimed {
    /// The look, whose answers are judged by these rules.
    fn by(self, rules: &Rules) -> Look {
        let Self { row, kind, wanted: Wanted { ids, may_end_absent } } = self;
        Look {
            lease: JobLease { job: row.id, epoch: row.epoch },
            kind,
            ids,
            asked_at: row.claimed_at.to_jiff(),
            due_at: row.run_at.to_jiff(),
            policy: rules.policy.clone(),
            policy_epoch: rules.epoch,
            tries: u32::try_from(row.tries).unwrap_or_default(),
            blind: u32::try_from(row.blind).unwrap_or_default(),
            controls: rules.controls.clone(),
            may_end_absent,
        }
    }
}

async fn read(tx: &mut Tx, row: Due) -> Result<Claimed, StoreError> {
    let kind = LookKind::of_step(row.step)
        .ok_or_else(|| StoreError::Unreadable { what: "next step of a job", detail: row.step.to_string() })?;
    let wanted = wanted(tx, row.id, kind).await?;
    Ok(Claimed { row, kind, wanted })
}

/// The job's conversations for this kind of look, without those that got an answer in this round.
async fn wanted(tx: &mut Tx, job: Uuid, kind: LookKind) -> Result<Wanted, StoreError> {
    let rows = sqlx::query!(
        "-- ids_to_look_at
        select s.ids, s.outcomes, p.positions, p.looked
        from job_parts p
        join slices s on (s.purge_id, s.slice_no) = (p.purge_id, p.slice_no)
        where p.job_id = $1 and s.read_again_at is null
        order by p.purge_id, p.slice_no",
        job
    )
    .all(tx)
    .await?;
    let mut wanted = Wanted::default();
    for row in rows {
        // The record of the look leaves it out.
        let Ok(cells) = Cell::read(&row.outcomes) else { continue };
        let open = row.positions.iter().filter(|position| !row.looked.contains(position));
        for position in open.filter_map(|&position| usize::try_from(position).ok()) {
            let Some(&cell) = cells.get(position).filter(|&&cell| kind.is_about(cell)) else { continue };
            wanted.ids.extend(row.ids.get(position));
            wanted.may_end_absent |= cell.marks.has(Marks::ABSENT);
        }
    }
    Ok(wanted)
}
