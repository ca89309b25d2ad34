//! Claims jobs for their next step; polls are claimed here.

use std::time::Duration;

use jiff_sqlx::Timestamp as SqlTimestamp;
use serde_json::Value;
use uuid::Uuid;

use super::lease::JobLease;
use crate::domain::backoff;
use crate::domain::state::JobStep;
use crate::domain::terms::OrgTerms;
use crate::store::orgs::limiter::{self, Call};
use crate::store::slices::claim::Claim;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// A job whose upstream job is to be asked after.
#[derive(Debug, Clone)]
pub struct Poll {
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

impl Store {
    /// Claims the poll that has been due longest.
    pub async fn claim_poll(&self, org: &OrgTerms, lease: Duration) -> Result<Claim<Poll>, StoreError> {
        self.retried(|| self.try_claim_poll(org, lease)).await
    }

    async fn try_claim_poll(&self, org: &OrgTerms, lease: Duration) -> Result<Claim<Poll>, StoreError> {
        let mut tx = self.begin("claim_poll").await?;
        let row = due(&mut tx, &org.name, &[JobStep::Poll], lease, None).await?;
        let Some(row) = row else { return Ok(Claim::Nothing) };
        let unknown = || StoreError::Unreadable { what: "upstream id of a job", detail: row.id.to_string() };
        let upstream_job_id = row.upstream_job_id.ok_or_else(unknown)?;
        let Ok(permit) = limiter::take(&mut tx, org, Call::Poll).await? else {
            return Ok(Claim::NoPermit);
        };
        tx.commit().await?;
        let poll = Poll {
            lease: JobLease { job: row.id, epoch: row.epoch },
            upstream_job_id,
            size: usize::try_from(row.size.unwrap_or_default()).unwrap_or_default(),
            running: Duration::try_from_secs_f64(row.running.unwrap_or_default()).unwrap_or_default(),
            tries: u32::try_from(row.tries).unwrap_or_default(),
        };
        Ok(Claim::Claimed(poll, permit))
    }
}

impl Store {
    /// Releases a job whose query was interrupted: it is due again at once.
    pub async fn give_back_job(&self, org: &str, lease: JobLease) -> Result<(), StoreError> {
        let mut tx = self.begin("give_back_job").await?;
        let given_back = sqlx::query!(
            "-- give_back_job
            update jobs
            set lease_until = null, epoch = epoch + 1
            where id = $1 and epoch = $2 and lease_until is not null and state not in ('submitting', 'done')",
            lease.job,
            lease.epoch
        )
        .run(&mut tx)
        .await?;
        if given_back == 0 {
            return Err(StoreError::LeaseLost { what: "job", id: lease.job });
        }
        tx.will_wake(org);
        tx.commit().await
    }
}

impl Store {
    /// Releases a job whose query panicked: it is queried again, alone, with backoff.
    pub async fn set_job_back(&self, org: &str, lease: JobLease, error: &Value) -> Result<(), StoreError> {
        let mut tx = self.begin("set_job_back").await?;
        let fruitless = sqlx::query_scalar!(
            "-- lock_job_to_set_back
            select blind from jobs
            where id = $1 and epoch = $2 and lease_until is not null and state not in ('submitting', 'done')
            for update",
            lease.job,
            lease.epoch
        )
        .maybe(&mut tx)
        .await?
        .ok_or(StoreError::LeaseLost { what: "job", id: lease.job })?;
        let times = u32::from(fruitless.max(0).unsigned_abs()) + 1;
        sqlx::query!(
            "-- set_job_back
            update jobs
            set lease_until = null, epoch = epoch + 1, blind = least(blind + 1, 1000), last_error = $3,
                run_at = clock_timestamp() + make_interval(secs => $2)
            where id = $1",
            lease.job,
            backoff::panicked(times).as_secs_f64(),
            error
        )
        .exactly(&mut tx, 1)
        .await?;
        tx.will_wake(org);
        tx.commit().await
    }
}

/// A job that was claimed for its next step, as far as any of the steps asks.
pub(super) struct Due {
    pub(super) id: Uuid,
    pub(super) epoch: i64,
    pub(super) step: JobStep,
    pub(super) run_at: SqlTimestamp,
    pub(super) claimed_at: SqlTimestamp,
    pub(super) tries: i16,
    pub(super) blind: i16,
    upstream_job_id: Option<String>,
    size: Option<i32>,
    running: Option<f64>,
}

/// Claims the job for which one of these steps has been due longest. With `beside` it may carry at most this many
/// conversations, and its last look must have got an answer.
pub(super) async fn due(
    tx: &mut Tx,
    org: &str,
    steps: &[JobStep],
    lease: Duration,
    beside: Option<usize>,
) -> Result<Option<Due>, StoreError> {
    let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
    sqlx::query_as!(
        Due,
        r#"-- claim_due_job
        with due as (
            select id from jobs
            where org = $1 and state <> 'done' and next_step = any($3::text[]::job_step[])
              and due_at <= clock_timestamp() and ($4::int is null or size <= $4 and blind = 0)
            order by due_at
            limit 1
            for update skip locked
        )
        update jobs j
        set epoch = j.epoch + 1, claimed_at = clock_timestamp(),
            lease_until = clock_timestamp() + make_interval(secs => $2)
        from due
        where j.id = due.id
        returning j.id, j.epoch, j.next_step as "step!: JobStep", j.run_at, j.claimed_at as "claimed_at!: SqlTimestamp",
                  j.tries, j.blind, j.upstream_job_id, cardinality(j.ids) as size,
                  extract(epoch from clock_timestamp() - j.submitted_at)::float8 as running"#,
        org,
        lease.as_secs_f64(),
        &steps,
        beside.map(|room| i32::try_from(room).unwrap_or(i32::MAX))
    )
    .maybe(tx)
    .await
}
