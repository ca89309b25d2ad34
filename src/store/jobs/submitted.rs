//! Records the answer to a submit; the meaning of each answer is in docs/architecture.md, "What a submit may answer".

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::lease::{JobLease, LockedJob, lock};
use super::parts::{self, Parts};
use super::split::{Cause, split};
use super::{ending, pack, reserve};
use crate::domain::outcome::{Marks, Outcome};
use crate::domain::reason::{Reason, Step, codes};
use crate::domain::state::{JobResult, JobState};
use crate::store::orgs::lock as org_lock;
use crate::store::slices::Place;
use crate::store::slices::patch::Patch;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// A submit that was answered with a yes.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Genesys' id of the job.
    pub upstream_job_id: String,
    /// SHA-256 of the body that was sent.
    pub body_sha256: [u8; 32],
    /// How long after now to poll first.
    pub first_poll: Duration,
    /// How long after the answer upstream is expected to have ended it.
    pub expected: Option<Duration>,
}

/// Why a batch was refused, and what follows.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// Nothing was written, or nothing was done: it waits that long and goes again; nothing is counted.
    Again(Duration),
    /// A conflict that names ids of the batch: they are protected, the others go again.
    Conflict(HashSet<Uuid>),
    /// A conflict that names no id: rechecked first, then searched.
    UnnamedConflict,
    /// Something in the request is wrong, perhaps one id: halved, until a single one fails for this reason.
    Invalid(Reason),
    /// This upstream does not do that: all fail for this reason.
    Rejected(Reason),
}

impl Store {
    /// Upstream runs the job; `false`, and nothing is recorded, where its id is that of a job that is known already: then
    /// nobody knows what became of this one.
    pub async fn record_accepted(
        &self,
        org: &str,
        lease: JobLease,
        accepted: &Accepted,
    ) -> Result<bool, StoreError> {
        self.retried(|| self.try_record_accepted(org, lease, accepted)).await
    }

    async fn try_record_accepted(
        &self,
        org: &str,
        lease: JobLease,
        accepted: &Accepted,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin("record_accepted").await?;
        let is_known = sqlx::query_scalar!(
            r#"-- is_upstream_id_known
            select exists (select from jobs where org = $1 and upstream_job_id = $2) as "is_known!""#,
            org,
            accepted.upstream_job_id
        )
        .one(&mut tx)
        .await?;
        if is_known {
            return Ok(false);
        }
        let done = sqlx::query!(
            "-- record_accepted
            update jobs
            set state = 'submitted', upstream_job_id = $3, body_sha256 = $4, submitted_at = clock_timestamp(),
                run_at = clock_timestamp() + make_interval(secs => $5),
                expected_end_at = clock_timestamp() + make_interval(secs => $6::float8), lease_until = null, tries = 0,
                misses = 0, blind = 0, losses = 0, seen_running_at = null, lost_since = null, last_error = null
            where id = $1 and epoch = $2 and state = 'submitting'",
            lease.job,
            lease.epoch,
            accepted.upstream_job_id,
            &accepted.body_sha256[..],
            accepted.first_poll.as_secs_f64(),
            accepted.expected.map(|expected| expected.as_secs_f64())
        )
        .run(&mut tx)
        .await;
        match done {
            // Another process has just recorded the same id.
            Err(error) if error.is_unique_violation() => return Ok(false),
            Err(error) => return Err(error),
            Ok(0) => return Err(StoreError::LeaseLost { what: "job", id: lease.job }),
            Ok(_) => {}
        }
        tx.commit().await?;
        Ok(true)
    }

    /// A definite no, of one kind or another.
    pub async fn record_refused(
        &self,
        org: &str,
        lease: JobLease,
        refusal: &Refusal,
        error: &Value,
    ) -> Result<(), StoreError> {
        self.retried(|| self.try_record_refused(org, lease, refusal, error)).await
    }

    async fn try_record_refused(
        &self,
        org: &str,
        lease: JobLease,
        refusal: &Refusal,
        error: &Value,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin("record_refused").await?;
        org_lock::lock(&mut tx, org).await?;
        let job = lock(&mut tx, lease).await?;
        if job.state != JobState::Submitting {
            return Err(StoreError::LeaseLost { what: "job", id: lease.job });
        }
        if matches!(refusal, Refusal::Conflict(_) | Refusal::UnnamedConflict) {
            note_conflict(&mut tx, job.id).await?;
        }
        let mut parts = parts::load(&mut tx, job.id).await?;
        let keys = parts.keys().copied().collect();
        let mut patch = parts::lock(&mut tx, Step::Submit, Some(job.id), keys, [&parts]).await?;
        let is_cut = cut(&mut tx, &patch, org, &job, &mut parts).await?;
        let carried = parts::with_ids(&parts, &patch);
        match refusal {
            // It was another batch that was refused: perhaps for the sake of what is left out.
            Refusal::UnnamedConflict | Refusal::Invalid(_) if is_cut => {
                undo(&mut patch, &parts, &carried, error)?;
                go_again(&mut tx, &job, Duration::ZERO, false, error).await?;
            }
            Refusal::Again(wait) => {
                undo(&mut patch, &parts, &carried, error)?;
                go_again(&mut tx, &job, *wait, false, error).await?;
            }
            Refusal::Conflict(named) => {
                let (offending, others): (Vec<_>, Vec<_>) =
                    carried.into_iter().partition(|(_, id)| named.contains(id));
                protect(&mut patch, &parts, &offending, error)?;
                undo(&mut patch, &parts, &others, error)?;
                reserve::release(&mut tx, &mut patch, org, job.id, &parts, &offending).await?;
                parts::remove(&mut parts, &offending);
                keep(&mut tx, &job, &parts, &others).await?;
                if others.is_empty() {
                    ending::finish(&mut tx, job.id, JobResult::Rejected, Some(error)).await?;
                } else {
                    go_again(&mut tx, &job, Duration::ZERO, false, error).await?;
                }
            }
            Refusal::UnnamedConflict if !job.is_rechecked => {
                undo(&mut patch, &parts, &carried, error)?;
                go_again(&mut tx, &job, Duration::ZERO, true, error).await?;
            }
            Refusal::UnnamedConflict if carried.len() == 1 => {
                protect(&mut patch, &parts, &carried, error)?;
                reserve::release(&mut tx, &mut patch, org, job.id, &parts, &carried).await?;
                ending::finish(&mut tx, job.id, JobResult::Rejected, Some(error)).await?;
            }
            Refusal::Invalid(reason) if carried.len() == 1 => {
                fail(&mut tx, &mut patch, org, (&job, &parts), &carried, (reason, error)).await?;
            }
            Refusal::Rejected(reason) => {
                fail(&mut tx, &mut patch, org, (&job, &parts), &carried, (reason, error)).await?;
            }
            Refusal::UnnamedConflict | Refusal::Invalid(_) => {
                undo(&mut patch, &parts, &carried, error)?;
                let is_conflict = matches!(refusal, Refusal::UnnamedConflict);
                let cause = if is_conflict { Cause::Conflict(error) } else { Cause::Invalid(error) };
                split(self, &mut tx, org, &job, &parts, &carried, cause).await?;
            }
        }
        patch.write(self, &mut tx).await?;
        tx.commit().await
    }
}

/// Upstream's answer, in a sentence.
fn answer(error: &Value) -> Option<String> {
    let said = |name: &str| error.get(name).and_then(Value::as_str);
    let message = said("message")?;
    let mut answer = match error.get("status").and_then(Value::as_u64) {
        Some(status) => format!("{status}: {message}"),
        None => message.to_owned(),
    };
    for (name, value) in ["code", "contextId"].into_iter().filter_map(|name| Some((name, said(name)?))) {
        answer = format!("{answer} ({name} {value})");
    }
    Some(answer)
}

async fn note_conflict(tx: &mut Tx, job: Uuid) -> Result<(), StoreError> {
    sqlx::query!("-- note_conflict\nupdate jobs set conflicted = true where id = $1", job)
        .exactly(tx, 1)
        .await
}

/// Removes left-out conversations from the job; returns whether there were any.
async fn cut(
    tx: &mut Tx,
    patch: &Patch,
    org: &str,
    job: &LockedJob,
    parts: &mut Parts,
) -> Result<bool, StoreError> {
    let before = parts.len();
    reserve::leave_out(tx, patch, org, job.id, parts).await?;
    if parts.len() == before {
        return Ok(false);
    }
    keep(tx, job, parts, &parts::with_ids(parts, patch)).await?;
    Ok(true)
}

/// The job goes on with these alone.
async fn keep(tx: &mut Tx, job: &LockedJob, parts: &Parts, kept: &[(Place, Uuid)]) -> Result<(), StoreError> {
    parts::store(tx, job.id, parts).await?;
    let ids: Vec<Uuid> = kept.iter().map(|(_, id)| *id).collect();
    pack::set_ids(tx, job.id, &ids).await
}

/// Takes an intent back: eligible again, and not carried by this job after all.
fn undo(
    patch: &mut Patch,
    parts: &Parts,
    carried: &[(Place, Uuid)],
    error: &Value,
) -> Result<(), StoreError> {
    let reason = Reason { detail: answer(error), ..codes::NOT_SUBMITTED };
    take_back(patch, parts, carried, Outcome::Eligible, &reason)
}

/// A recorded no: this job has not carried these, though an earlier one may have.
fn take_back(
    patch: &mut Patch,
    parts: &Parts,
    carried: &[(Place, Uuid)],
    to: Outcome,
    reason: &Reason,
) -> Result<(), StoreError> {
    for &(place, _) in carried {
        patch.decide(place, Outcome::Submitted, to, reason.clone())?;
        let part = parts.get(&place.slice);
        if !part.is_some_and(|part| part.carried_before.contains(&place.position)) {
            patch.mark(place, Marks::NONE, Marks::CARRIED)?;
        }
    }
    Ok(())
}

/// Upstream protects these: it refused the whole batch for their sake.
fn protect(
    patch: &mut Patch,
    parts: &Parts,
    offending: &[(Place, Uuid)],
    error: &Value,
) -> Result<(), StoreError> {
    let reason = Reason { detail: answer(error), ..codes::UPSTREAM_CONFLICT };
    take_back(patch, parts, offending, Outcome::OnHold, &reason)
}

/// They will never be purged here: each fails, and the job is over.
async fn fail(
    tx: &mut Tx,
    patch: &mut Patch,
    org: &str,
    (job, parts): (&LockedJob, &Parts),
    carried: &[(Place, Uuid)],
    (reason, error): (&Reason, &Value),
) -> Result<(), StoreError> {
    take_back(patch, parts, carried, Outcome::Failed, reason)?;
    reserve::release(tx, patch, org, job.id, parts, carried).await?;
    ending::finish(tx, job.id, JobResult::Rejected, Some(error)).await
}

/// Back to waiting, for a new intent with all its checks. The count of losses in a row goes on: a definite no says
/// nothing about earlier losses.
async fn go_again(
    tx: &mut Tx,
    job: &LockedJob,
    wait: Duration,
    is_recheck: bool,
    error: &Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        "-- go_again
        update jobs
        set state = 'waiting', run_at = clock_timestamp() + make_interval(secs => $2), recheck = $3,
            lease_until = null, call_before = null, tries = least(tries + 1, 1000), blind = 0, open = 0, last_error = $4
        where id = $1 and state = 'submitting'",
        job.id,
        wait.as_secs_f64(),
        is_recheck,
        error
    )
    .exactly(tx, 1)
    .await
}
