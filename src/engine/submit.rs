//! Submit: the one call that deletes. It takes only a committed intent, and is never repeated under the same one.

use std::future::Future;
use std::time::{Duration, Instant};

use serde_json::json;

use super::OrgEngine;
use super::trouble::last_error;
use crate::domain::reason::Reason;
use crate::genesys::{Detail, Failure, Permit};
use crate::store::StoreError;
use crate::store::jobs::intend::Intent;
use crate::store::jobs::submitted::{Accepted, Refusal};
use crate::store::orgs::hurdle::Hurdle;
use crate::store::orgs::limiter::Call;

impl OrgEngine {
    /// Calls, and records the answer; `body_sha256` is of the body that is sent.
    pub(super) async fn submit(&self, intent: &Intent, body_sha256: [u8; 32]) -> Result<(), StoreError> {
        let org = &self.terms.name;
        let permit = Permit::until(intent.call_before, intent.wall_deadline);
        let answer = self.call("submit", self.upstream.submit(&intent.ids, permit)).await;
        match answer.result {
            Ok(upstream_job_id) => {
                tracing::info!(org, job = %intent.lease.job, attempt = intent.attempt, upstream_job_id = upstream_job_id.0,
                               conversations = intent.ids.len(), "submitted a job");
                let (pace, size) = (self.pace(), intent.ids.len());
                let first_poll = pace.first_poll(size, self.bounds()).min(self.engine.job_deadline);
                let expected = pace.expected(size);
                let accepted =
                    Accepted { upstream_job_id: upstream_job_id.0, body_sha256, first_poll, expected };
                let is_new =
                    self.persist(|| self.store.record_accepted(org, intent.lease, &accepted)).await?;
                if !is_new {
                    tracing::error!(org, job = %intent.lease.job, upstream_job_id = accepted.upstream_job_id,
                                    "Genesys answered with the id of another job; the job is in doubt");
                    let error = json!({
                        "call": "submit", "message": "Genesys answered with the id of a job that is already known",
                        "upstreamJobId": accepted.upstream_job_id,
                    });
                    let lost =
                        || self.store.record_lost(org, intent.lease, body_sha256, &error, &self.engine);
                    self.persist(lost).await?;
                }
                self.note_success(Call::Submit, &answer.observed).await?;
                if intent.is_as_packed { self.overcome(Hurdle::Conflicts).await } else { Ok(()) }
            }
            Err(failure @ Failure::Unknown(_)) => {
                tracing::warn!(org, job = %intent.lease.job, attempt = intent.attempt, error = %failure, "a submit got no answer; the job is in doubt");
                let error = last_error(failure.detail());
                let lost = || self.store.record_lost(org, intent.lease, body_sha256, &error, &self.engine);
                let recorded = self.persist(lost).await;
                self.note_failed(Call::Submit, &failure).await?;
                recorded
            }
            Err(failure) => {
                let (job, attempt) = (intent.lease.job, intent.attempt);
                if let Failure::Conflict { named, .. } = &failure {
                    log_conflict(intent, org, named.len());
                } else {
                    tracing::warn!(org, %job, attempt, error = %failure, "Genesys refused the job");
                }
                let tries = u32::try_from(intent.attempt - 1).unwrap_or_default();
                let wait = self.wait_after(&failure, tries);
                let refusal = refusal(&failure, wait);
                let error = last_error(failure.detail());
                let recorded =
                    self.persist(|| self.store.record_refused(org, intent.lease, &refusal, &error)).await;
                self.note_failed(Call::Submit, &failure).await?;
                self.note_failure(Call::Submit, &failure, wait).await?;
                if intent.is_as_packed && matches!(failure, Failure::Conflict { .. }) {
                    self.note_conflict().await?;
                }
                recorded
            }
        }
    }

    /// Records, again and again while the database is out of reach and the lease may still hold: an answer that is
    /// known must not become a doubt.
    async fn persist<T, F>(&self, mut record: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let until = Instant::now() + self.engine.lease;
        loop {
            match record().await {
                Err(error) if error.is_outage() && Instant::now() < until => {
                    tracing::warn!(%error, "an answer of Genesys could not be recorded; retrying");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                recorded => return recorded,
            }
        }
    }
}

/// A conflict is routine. Genesys' message is the last error of the job.
fn log_conflict(intent: &Intent, org: &str, named: usize) {
    let (job, attempt, conversations) = (intent.lease.job, intent.attempt, intent.ids.len());
    if named > 0 {
        tracing::info!(org, %job, attempt, conversations, protected = named,
                       "Genesys protects some of a job's conversations; the job goes on without them");
    } else {
        tracing::info!(org, %job, attempt, conversations,
                       "Genesys protects some of a job's conversations and does not say which; searching for them");
    }
}

fn refusal(failure: &Failure, wait: Duration) -> Refusal {
    let reason = |detail: &Detail| Reason::upstream(detail.code.as_deref(), detail.to_string());
    match failure {
        Failure::Conflict { named, .. } if named.is_empty() => Refusal::UnnamedConflict,
        Failure::Conflict { named, .. } => Refusal::Conflict(named.iter().copied().collect()),
        Failure::Invalid(detail) => Refusal::Invalid(reason(detail)),
        Failure::Refused(detail) | Failure::Missing(detail) => Refusal::Rejected(reason(detail)),
        Failure::NotSent(_)
        | Failure::TokenRefused(_)
        | Failure::Forbidden { .. }
        | Failure::Throttled { .. }
        | Failure::WrongUpstream(_)
        | Failure::Unknown(_) => Refusal::Again(wait),
    }
}
