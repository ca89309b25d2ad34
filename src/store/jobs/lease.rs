//! The right of one worker to process a job: a worker that lost it changes nothing.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use crate::domain::state::JobState;
use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx};

/// A job and the lease under which it is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLease {
    pub job: Uuid,
    /// Raised by every claim.
    pub epoch: i64,
}

/// A job under lock.
#[derive(Debug, Clone)]
pub(super) struct LockedJob {
    pub(super) id: Uuid,
    pub(super) state: JobState,
    pub(super) is_rechecked: bool,
    /// It is a piece of a search for what conflicts.
    pub(super) is_piece: bool,
    /// How many conversations its last intent named.
    pub(super) named: usize,
    pub(super) misses: i16,
    pub(super) losses: u32,
    pub(super) upstream_job_id: Option<String>,
    pub(super) upstream_succeeded: Option<bool>,
    pub(super) records_processed: Option<i64>,
    pub(super) intended_at: Option<Timestamp>,
    pub(super) submitted_at: Option<Timestamp>,
    /// When the present poll or look was claimed.
    pub(super) claimed_at: Option<Timestamp>,
    /// When the last poll was claimed that found it running.
    pub(super) seen_running_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) lost_since: Option<Timestamp>,
    pub(super) overdue_since: Option<Timestamp>,
}

/// After this many 404s in a row the job counts as unknown.
pub(in crate::store) const MISSES: i16 = 3;

impl LockedJob {
    /// Upstream has not known it for so long that it counts as lost.
    pub(super) const fn is_lost(&self) -> bool {
        self.misses >= MISSES
    }

    /// The job ended after this moment: the latest at which a question left that found it running, or else its intent.
    pub(super) fn not_ended_at(&self) -> Option<Timestamp> {
        self.seen_running_at.or(self.intended_at)
    }
}

/// Locks the job, and fails if another worker has claimed it since.
pub(super) async fn lock(tx: &mut Tx, lease: JobLease) -> Result<LockedJob, StoreError> {
    let row = sqlx::query!(
        r#"-- lock_job
        select id, state as "state: JobState", rechecked, search is not null as "is_piece!", cardinality(ids) as named, misses, losses, upstream_job_id,
               upstream_succeeded, records_processed, intended_at, submitted_at, claimed_at, seen_running_at, ended_at,
               lost_since, overdue_since
        from jobs
        where id = $1 and epoch = $2
        for update"#,
        lease.job,
        lease.epoch
    )
    .maybe(tx)
    .await?
    .ok_or(StoreError::LeaseLost { what: "job", id: lease.job })?;
    let time = |at: Option<SqlTimestamp>| at.map(SqlTimestamp::to_jiff);
    Ok(LockedJob {
        id: row.id,
        state: row.state,
        is_rechecked: row.rechecked,
        is_piece: row.is_piece,
        named: usize::try_from(row.named.unwrap_or_default()).unwrap_or_default(),
        misses: row.misses,
        losses: u32::try_from(row.losses).unwrap_or_default(),
        upstream_job_id: row.upstream_job_id,
        upstream_succeeded: row.upstream_succeeded,
        records_processed: row.records_processed,
        intended_at: time(row.intended_at),
        submitted_at: time(row.submitted_at),
        claimed_at: time(row.claimed_at),
        seen_running_at: time(row.seen_running_at),
        ended_at: time(row.ended_at),
        lost_since: time(row.lost_since),
        overdue_since: time(row.overdue_since),
    })
}
