//! Claims jobs: to ask after the upstream job, or to look at the conversations.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use super::lease::JobLease;
use crate::domain::outcome::{Cell, Marks, Outcome};
use crate::domain::retention::Policy;
use crate::domain::state::JobState;
use crate::domain::terms::OrgTerms;
use crate::store::error::word;
use crate::store::orgs::limiter::{self, Call};
use crate::store::orgs::policy;
use crate::store::slices::claim::Claim;
use crate::store::tx::Tx;
use crate::store::{Store, StoreError};

/// A job whose upstream job is to be asked after.
#[derive(Debug, Clone)]
pub struct Poll {
    /// The job.
    pub lease: JobLease,
    /// Genesys' id of it.
    pub upstream_job_id: String,
    /// How many conversations it carries.
    pub size: usize,
    /// How long ago upstream took it.
    pub running: Duration,
    /// Polls that found it running, in a row.
    pub tries: u32,
}

/// Why a job's conversations are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookKind {
    /// Before an intent, after a conflict that named nobody or a lost submit.
    Recheck,
    /// After its end.
    Verify,
    /// After a submit without an answer, when its window has passed.
    Reread,
    /// Past its deadline, though upstream may still run it.
    Overdue,
    /// After it was given up: what is gone after all?
    Late,
}

impl LookKind {
    /// Whether such a conversation of the job is looked at.
    const fn is_about(self, cell: Cell) -> bool {
        match self {
            Self::Recheck => matches!(cell.outcome, Outcome::Eligible),
            Self::Verify | Self::Reread | Self::Overdue => matches!(cell.outcome, Outcome::Submitted),
            // Whatever became of it while upstream might still delete it, unless the job has let it go.
            Self::Late => cell.marks.has(Marks::RESERVED),
        }
    }
}

/// A job whose conversations are to be looked at.
#[derive(Debug, Clone)]
pub struct Look {
    /// The job.
    pub lease: JobLease,
    /// Why.
    pub kind: LookKind,
    /// Whose facts to ask.
    pub ids: Vec<Uuid>,
    /// When it was claimed, by the database's clock: no later than the call.
    pub asked_at: Timestamp,
    /// When it was due.
    pub due_at: Timestamp,
    /// The rules in force then.
    pub policy: Policy,
    /// Their epoch.
    pub policy_epoch: i64,
    /// Looks without a result, in a row.
    pub tries: u32,
    /// Looks without a whole answer, in a row.
    pub blind: u32,
}

impl Store {
    /// Claims the poll that has been due longest.
    pub async fn claim_poll(&self, org: &OrgTerms, lease: Duration) -> Result<Claim<Poll>, StoreError> {
        let mut tx = self.begin("claim_poll").await?;
        let failed = tx.failed();
        let row = sqlx::query!(
            r#"-- claim_poll
            with due as (
                select id from jobs
                where org = $1 and state = 'submitted' and run_at <= clock_timestamp()
                  and (lease_until is null or lease_until < clock_timestamp())
                  and (overdue_since is null or open = 0)
                order by run_at
                limit 1
                for update skip locked
            )
            update jobs j
            set epoch = j.epoch + 1, lease_until = clock_timestamp() + make_interval(secs => $2)
            from due
            where j.id = due.id
            returning j.id, j.epoch, j.upstream_job_id as "upstream_job_id!", j.tries, cardinality(j.ids) as size,
                extract(epoch from clock_timestamp() - j.submitted_at)::float8 as running"#,
            org.name,
            lease.as_secs_f64()
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok(Claim::Nothing) };
        let Ok(permit) = limiter::take(&mut tx, org, Call::Poll).await? else {
            return Ok(Claim::NoPermit);
        };
        tx.commit().await?;
        let poll = Poll {
            lease: JobLease { job: row.id, epoch: row.epoch },
            upstream_job_id: row.upstream_job_id,
            size: usize::try_from(row.size.unwrap_or_default()).unwrap_or_default(),
            running: Duration::try_from_secs_f64(row.running.unwrap_or_default()).unwrap_or_default(),
            tries: u32::try_from(row.tries).unwrap_or_default(),
        };
        Ok(Claim::Claimed(poll, permit))
    }

    /// Claims the look that has been due longest.
    pub async fn claim_look(&self, org: &OrgTerms, lease: Duration) -> Result<Claim<Look>, StoreError> {
        let mut tx = self.begin("claim_look").await?;
        let failed = tx.failed();
        let row = sqlx::query!(
            r#"-- claim_look
            with due as (
                select id from jobs
                where org = $1
                  and (state in ('in_doubt', 'verifying') or state = 'waiting' and recheck
                       or state = 'submitted' and overdue_since is not null and open > 0)
                  and run_at <= clock_timestamp() and (lease_until is null or lease_until < clock_timestamp())
                order by run_at
                limit 1
                for update skip locked
            )
            update jobs j
            set epoch = j.epoch + 1, lease_until = clock_timestamp() + make_interval(secs => $2)
            from due
            where j.id = due.id
            returning j.id, j.epoch, j.state::text as "state!", j.open, j.tries, j.blind, j.run_at,
                      clock_timestamp() as "asked_at!: SqlTimestamp""#,
            org.name,
            lease.as_secs_f64()
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok(Claim::Nothing) };
        let kind = match word("state of a job", &row.state)? {
            JobState::Waiting => LookKind::Recheck,
            JobState::InDoubt => LookKind::Reread,
            JobState::Submitted => LookKind::Overdue,
            _ if row.open == 0 => LookKind::Late,
            _ => LookKind::Verify,
        };
        let ids = ids_for(&mut tx, row.id, kind).await?;
        let rules = policy::in_force(&mut tx, &org.name).await?;
        let Ok(permit) = limiter::take(&mut tx, org, Call::Details).await? else {
            return Ok(Claim::NoPermit);
        };
        tx.commit().await?;
        let look = Look {
            lease: JobLease { job: row.id, epoch: row.epoch },
            kind,
            ids,
            asked_at: row.asked_at.to_jiff(),
            due_at: row.run_at.to_jiff(),
            policy: rules.policy,
            policy_epoch: rules.epoch,
            tries: u32::try_from(row.tries).unwrap_or_default(),
            blind: u32::try_from(row.blind).unwrap_or_default(),
        };
        Ok(Claim::Claimed(look, permit))
    }
}

/// The job's conversations that such a look is about.
async fn ids_for(tx: &mut Tx, job: Uuid, kind: LookKind) -> Result<Vec<Uuid>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query!(
        "-- ids_to_look_at
        select s.ids, s.outcomes, p.positions
        from job_parts p
        join slices s on (s.purge_id, s.slice_no) = (p.purge_id, p.slice_no)
        where p.job_id = $1
        order by p.purge_id, p.slice_no",
        job
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(failed)?;
    let mut ids = Vec::new();
    for row in rows {
        for position in row.positions.into_iter().filter_map(|position| usize::try_from(position).ok()) {
            let cell = row.outcomes.get(position).and_then(|&byte| Cell::from_byte(byte));
            if cell.is_some_and(|cell| kind.is_about(cell)) {
                ids.extend(row.ids.get(position));
            }
        }
    }
    Ok(ids)
}
