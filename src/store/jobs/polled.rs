//! Records the answer to a poll.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use serde_json::Value;

use super::ended::{self, Ending};
use super::lease::{JobLease, LockedJob, MISSES, lock};
use crate::domain::search::gathered;
use crate::domain::terms::EngineTerms;
use crate::store::orgs::pace;
use crate::store::tx::{Tx, Writes as _};
use crate::store::{Store, StoreError};

/// A job past its deadline is asked after so rarely.
const OVERDUE_POLL: Duration = Duration::from_hours(1);

/// The answer to a poll.
#[derive(Debug, Clone)]
pub enum Polled {
    /// It runs; time to the next poll.
    Working {
        /// The state, as upstream said it.
        state: String,
        /// Records processed so far, if given.
        records_processed: Option<i64>,
        /// When to ask again.
        again: Duration,
    },
    Ended {
        /// Upstream calls it completed.
        is_completed: bool,
        /// The state, as upstream said it.
        state: String,
        records_processed: Option<i64>,
    },
    /// Upstream does not know it.
    Missing {
        /// When to ask again.
        again: Duration,
        error: Value,
    },
    Silent {
        /// When to ask again.
        again: Duration,
        error: Value,
    },
}

impl Store {
    pub async fn record_poll(
        &self,
        org: &str,
        lease: JobLease,
        polled: &Polled,
        terms: &EngineTerms,
    ) -> Result<(), StoreError> {
        self.retried(|| self.try_record_poll(org, lease, polled, terms)).await
    }

    async fn try_record_poll(
        &self,
        org: &str,
        lease: JobLease,
        polled: &Polled,
        terms: &EngineTerms,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin("record_poll").await?;
        let job = lock(&mut tx, lease).await?;
        let now = tx.now().await?;
        match polled {
            Polled::Ended { is_completed, state, records_processed } => {
                // A last answer without the number does not overwrite an earlier one.
                let records_processed = records_processed.or(job.records_processed);
                self.end(&mut tx, org, &job, now, (*is_completed, state, records_processed)).await?;
            }
            Polled::Missing { error, .. } if job.misses + 1 >= MISSES => {
                sqlx::query!(
                    "-- note_misses\nupdate jobs set misses = $2, last_error = $3 where id = $1",
                    job.id,
                    MISSES,
                    error
                )
                .exactly(&mut tx, 1)
                .await?;
                verify(&mut tx, &job, now, None).await?;
            }
            Polled::Missing { again, error } => {
                let told = Told { misses: job.misses + 1, error: Some(error), ..Told::default() };
                poll_again(&mut tx, &job, now, terms, *again, told).await?;
            }
            // Whatever it was, it was no third answer in a row that the job is unknown.
            Polled::Silent { again, error } => {
                let told = Told { error: Some(error), ..Told::default() };
                poll_again(&mut tx, &job, now, terms, *again, told).await?;
            }
            Polled::Working { state, records_processed, again } => {
                let told =
                    Told { state: Some(state), records_processed: *records_processed, ..Told::default() };
                poll_again(&mut tx, &job, now, terms, *again, told).await?;
            }
        }
        tx.commit().await
    }

    /// Upstream ended the job: its slot is free from now on, its conversations are to be verified, and receivers hear.
    async fn end(
        &self,
        tx: &mut Tx,
        org: &str,
        job: &LockedJob,
        now: Timestamp,
        (is_completed, state, records_processed): (bool, &str, Option<i64>),
    ) -> Result<(), StoreError> {
        let ending = Ending { is_completed, state, records_processed };
        verify(tx, job, now, Some(ending)).await?;
        ended::tell(self, tx, org, job, now, ending).await?;
        let submitted_at = job.submitted_at.unwrap_or(now);
        let took = now.duration_since(submitted_at);
        let unsigned = |duration: SignedDuration| Duration::try_from(duration).unwrap_or_default();
        let seen_running = job.seen_running_at.map(|seen| unsigned(seen.duration_since(submitted_at)));
        pace::learn(tx, org, job.named, seen_running, unsigned(took)).await
    }
}

/// From now on what became of the job's conversations is asked; `None`: upstream does not know it, or runs it for ever. The
/// pieces of searches are many and small: those that end about the same time are asked about together.
async fn verify(
    tx: &mut Tx,
    job: &LockedJob,
    now: Timestamp,
    ending: Option<Ending<'_>>,
) -> Result<(), StoreError> {
    let took = now.duration_since(job.submitted_at.unwrap_or(now)).unsigned_abs();
    let wait = if job.is_piece { gathered(now, Duration::ZERO, took) } else { Duration::ZERO };
    sqlx::query!(
        "-- verify_job
        update jobs
        set state = 'verifying', ended_at = $2, run_at = $2::timestamptz + make_interval(secs => $6), lease_until = null, tries = 0, blind = 0,
            upstream_succeeded = $5, upstream_state = coalesce($3, upstream_state),
            records_processed = coalesce($4, records_processed)
        where id = $1 and state = 'submitted'",
        job.id,
        now.to_sqlx() as _,
        ending.map(|ending| ending.state),
        ending.and_then(|ending| ending.records_processed),
        ending.map(|ending| ending.is_completed),
        wait.as_secs_f64()
    )
    .exactly(tx, 1)
    .await
}

/// The answer to a poll of a running job.
#[derive(Clone, Copy, Default)]
struct Told<'a> {
    /// As upstream said it; `None` where no message.
    state: Option<&'a str>,
    records_processed: Option<i64>,
    /// 404s in a row.
    misses: i16,
    error: Option<&'a Value>,
}

/// The job runs: it is polled again, or its deadline has passed and its conversations are looked at.
async fn poll_again(
    tx: &mut Tx,
    job: &LockedJob,
    now: Timestamp,
    terms: &EngineTerms,
    again: Duration,
    told: Told<'_>,
) -> Result<(), StoreError> {
    let age = Duration::try_from(now.duration_since(job.submitted_at.unwrap_or(now))).unwrap_or_default();
    if job.overdue_since.is_some() && age >= terms.job_deadline.saturating_mul(2) {
        return verify(tx, job, now, None).await;
    }
    let is_overdue = age >= terms.job_deadline;
    let wait = match (is_overdue, job.overdue_since) {
        // Just now: its conversations are looked at at once.
        (true, None) => Duration::ZERO,
        (true, Some(_)) => OVERDUE_POLL.min(terms.job_deadline),
        (false, _) => again.min(terms.job_deadline.saturating_sub(age)),
    };
    // It was running when this poll left, not when its answer came to be recorded.
    let seen_running_at = told.state.and(job.claimed_at).or(job.seen_running_at);
    sqlx::query!(
        "-- poll_again
        update jobs
        set run_at = $2::timestamptz + make_interval(secs => $3), lease_until = null, misses = $4,
            tries = least(tries + 1, 1000), blind = 0, upstream_state = coalesce($5, upstream_state),
            records_processed = coalesce($6, records_processed), last_error = coalesce($7, last_error),
            seen_running_at = $8, overdue_since = case when $9 then coalesce(overdue_since, $2) end
        where id = $1 and state = 'submitted'",
        job.id,
        now.to_sqlx() as _,
        wait.as_secs_f64(),
        told.misses,
        told.state,
        told.records_processed,
        told.error,
        seen_running_at.map(ToSqlx::to_sqlx) as _,
        is_overdue
    )
    .exactly(tx, 1)
    .await
}
