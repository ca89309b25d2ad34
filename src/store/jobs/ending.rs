//! The end of a job: the one place where it becomes `done`.
//!
//! Invariant: a job that ended has released every id, or handed it on to a child.

use uuid::Uuid;

use super::reserve;
use crate::domain::state::JobResult;
use crate::store::StoreError;
use crate::store::tx::{Tx, Writes as _};

/// Ends a job whose ids were all released or handed on, as far as their slices can be read; an `error` is stored as
/// its last error.
pub(super) async fn finish(
    tx: &mut Tx,
    job: Uuid,
    result: JobResult,
    error: Option<&serde_json::Value>,
) -> Result<(), StoreError> {
    finish_all(tx, &[job], result, error).await
}

/// The same for several jobs.
pub(super) async fn finish_all(
    tx: &mut Tx,
    jobs: &[Uuid],
    result: JobResult,
    error: Option<&serde_json::Value>,
) -> Result<(), StoreError> {
    reserve::let_go_untold(tx, jobs).await?;
    sqlx::query!(
        "-- finish_jobs
        update jobs j
        set state = 'done', result = $2::text::job_result, finished_at = clock_timestamp(), ids = null, open = 0,
            lease_until = null, epoch = epoch + 1, last_error = coalesce($3, last_error)
        where id = any($1) and state <> 'done' and not exists (select from reservations where job_id = j.id)",
        jobs,
        result.as_str(),
        error
    )
    .exactly(tx, jobs.len())
    .await
}
