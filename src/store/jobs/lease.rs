//! The right of one worker to go on with a job: whoever lost it changes nothing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use crate::domain::state::JobState;
use crate::store::StoreError;
use crate::store::error::word;
use crate::store::tx::Tx;

/// A job and the lease under which it is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLease {
    /// The job.
    pub job: Uuid,
    /// Raised by every claim.
    pub epoch: i64,
}

/// A job under lock.
#[derive(Debug)]
pub(super) struct LockedJob {
    pub(super) id: Uuid,
    pub(super) state: JobState,
    pub(super) is_rechecked: bool,
    /// How many conversations its last intent named.
    pub(super) named: usize,
    pub(super) misses: i16,
    pub(super) upstream_job_id: Option<String>,
    pub(super) submitted_at: Option<Timestamp>,
    pub(super) seen_running_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) lost_since: Option<Timestamp>,
    pub(super) overdue_since: Option<Timestamp>,
    pub(super) upstream_state: Option<String>,
}

/// So many 404s in a row are an answer.
pub(in crate::store) const MISSES: i16 = 3;

impl LockedJob {
    /// Upstream has not known it for so long that nobody expects it to.
    pub(super) const fn is_lost(&self) -> bool {
        self.misses >= MISSES
    }

    /// Since its end, or since its deadline where upstream calls it running, so long a time has passed that what could
    /// not be seen by now is given up.
    pub(super) fn is_blind_too_long(&self, now: Timestamp, job_deadline: Duration) -> bool {
        let deadline = SignedDuration::try_from(job_deadline).unwrap_or(SignedDuration::MAX);
        self.ended_at.or(self.overdue_since).is_some_and(|since| now.duration_since(since) > deadline)
    }

    /// The job ended after this moment: the latest at which it was known not to have.
    pub(super) fn not_ended_at(&self) -> Option<Timestamp> {
        self.seen_running_at.or(self.submitted_at)
    }
}

/// Locks the job, and refuses where somebody else has claimed it since.
pub(super) async fn lock(tx: &mut Tx, lease: JobLease) -> Result<LockedJob, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query!(
        r#"-- lock_job
        select id, state::text as "state!", rechecked, cardinality(ids) as named, misses, upstream_job_id,
               upstream_state, submitted_at, seen_running_at, ended_at, lost_since, overdue_since
        from jobs
        where id = $1 and epoch = $2
        for update"#,
        lease.job,
        lease.epoch
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(failed)?
    .ok_or(StoreError::LeaseLost { what: "job", id: lease.job })?;
    let time = |at: Option<SqlTimestamp>| at.map(SqlTimestamp::to_jiff);
    Ok(LockedJob {
        id: row.id,
        state: word("state of a job", &row.state)?,
        is_rechecked: row.rechecked,
        named: usize::try_from(row.named.unwrap_or_default()).unwrap_or_default(),
        misses: row.misses,
        upstream_job_id: row.upstream_job_id,
        submitted_at: time(row.submitted_at),
        seen_running_at: time(row.seen_running_at),
        ended_at: time(row.ended_at),
        lost_since: time(row.lost_since),
        overdue_since: time(row.overdue_since),
        upstream_state: row.upstream_state,
    })
}
