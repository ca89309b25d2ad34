//! Claims the poll of a job: the question whether the upstream job has ended.

use std::time::Duration;

use super::lease::JobLease;
use crate::domain::terms::OrgTerms;
use crate::store::orgs::limiter::{self, Call};
use crate::store::slices::claim::Claim;
use crate::store::tx::Rows as _;
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
        let mut tx = self.begin("claim_poll").await?;
        let row = sqlx::query!(
            r#"-- claim_poll
            with due as (
                select id from jobs
                where org = $1 and state <> 'done' and next_step = 'poll' and due_at <= clock_timestamp()
                order by due_at
                limit 1
                for update skip locked
            )
            update jobs j
            set epoch = j.epoch + 1, claimed_at = clock_timestamp(),
                lease_until = clock_timestamp() + make_interval(secs => $2)
            from due
            where j.id = due.id
            returning j.id, j.epoch, j.upstream_job_id as "upstream_job_id!", j.tries, cardinality(j.ids) as size,
                extract(epoch from clock_timestamp() - j.submitted_at)::float8 as running"#,
            org.name,
            lease.as_secs_f64()
        )
        .maybe(&mut tx)
        .await?;
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
}
