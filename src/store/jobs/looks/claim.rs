//! Claims a look, and tells whose facts it asks.

use std::time::Duration;

use uuid::Uuid;

use super::{Look, LookKind};
use crate::domain::outcome::Cell;
use crate::domain::state::JobStep;
use crate::domain::terms::OrgTerms;
use crate::store::jobs::{JobLease, claim};
use crate::store::orgs::limiter;
use crate::store::slices::claim::Claim;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// The steps that are looks.
const LOOKS: [JobStep; 5] =
    [JobStep::Recheck, JobStep::Overdue, JobStep::Reread, JobStep::Verify, JobStep::Late];

impl LookKind {
    /// The look that is the next step of a job; `None` for steps that are none.
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

impl Store {
    /// Claims the look that has been due longest.
    pub async fn claim_look(&self, org: &OrgTerms, lease: Duration) -> Result<Claim<Look>, StoreError> {
        self.retried(|| self.try_claim_look(org, lease)).await
    }

    async fn try_claim_look(&self, org: &OrgTerms, lease: Duration) -> Result<Claim<Look>, StoreError> {
        let mut tx = self.begin("claim_look").await?;
        let row = claim::due(&mut tx, &org.name, &LOOKS, lease).await?;
        let Some(row) = row else { return Ok(Claim::Nothing) };
        let kind = LookKind::of_step(row.step).ok_or_else(|| StoreError::Unreadable {
            what: "next step of a job",
            detail: row.step.to_string(),
        })?;
        let ids = ids_for(&mut tx, row.id, kind).await?;
        let Ok((permit, rules)) = limiter::take_by_rules(&mut tx, org).await? else {
            return Ok(Claim::NoPermit);
        };
        tx.commit().await?;
        let look = Look {
            lease: JobLease { job: row.id, epoch: row.epoch },
            kind,
            ids,
            asked_at: row.claimed_at.to_jiff(),
            due_at: row.run_at.to_jiff(),
            policy: rules.policy,
            policy_epoch: rules.epoch,
            tries: u32::try_from(row.tries).unwrap_or_default(),
            blind: u32::try_from(row.blind).unwrap_or_default(),
        };
        Ok(Claim::Claimed(look, permit))
    }
}

/// The job's conversations that such a look is about, without those of which this round was told already.
async fn ids_for(tx: &mut Tx, job: Uuid, kind: LookKind) -> Result<Vec<Uuid>, StoreError> {
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
    let mut ids = Vec::new();
    for row in rows {
        // Whoever records the look leaves it out.
        let Ok(cells) = Cell::read(&row.outcomes) else { continue };
        let open = row.positions.iter().filter(|position| !row.looked.contains(position));
        for position in open.filter_map(|&position| usize::try_from(position).ok()) {
            if cells.get(position).is_some_and(|&cell| kind.is_about(cell)) {
                ids.extend(row.ids.get(position));
            }
        }
    }
    Ok(ids)
}
