//! Submit: the one call that deletes. It takes nothing but a committed intent, and is never repeated under it.

use std::time::Duration;

use super::OrgEngine;
use super::trouble::last_error;
use crate::domain::doubt;
use crate::domain::reason::Reason;
use crate::genesys::{Detail, Failure, Permit};
use crate::store::StoreError;
use crate::store::jobs::intend::Intent;
use crate::store::jobs::submitted::{Accepted, Refusal};
use crate::store::orgs::limiter::Call;

impl OrgEngine {
    /// Calls, and records what came back.
    pub(super) async fn submit(&self, intent: &Intent) -> Result<(), StoreError> {
        let org = &self.terms.name;
        let body_sha256 = self.upstream.body_digest(&intent.ids);
        let answer = self.upstream.submit(&intent.ids, Permit { write_before: intent.call_before }).await;
        match answer.result {
            Ok(upstream_job_id) => {
                tracing::info!(org, job = %intent.lease.job, upstream_job_id = upstream_job_id.0,
                               conversations = intent.ids.len(), "upstream took the job");
                let first_poll = self.store.pace(org).await?.first_poll(self.bounds());
                let accepted = Accepted { upstream_job_id: upstream_job_id.0, body_sha256, first_poll };
                self.store.record_accepted(intent.lease, &accepted).await?;
                self.note_success(Call::Submit, &answer.observed).await
            }
            Err(Failure::Unknown(detail)) => {
                tracing::warn!(org, job = %intent.lease.job, error = %detail, "a submit had no answer; in doubt");
                let window = self.doubt_window().await?;
                self.store.record_lost(intent.lease, window, body_sha256, &last_error(&detail)).await
            }
            Err(failure) => {
                tracing::warn!(org, job = %intent.lease.job, error = %failure, "upstream did not take the job");
                let refusal = self.refusal(intent, &failure).await?;
                self.store.record_refused(org, intent.lease, &refusal, &last_error(failure.detail())).await
            }
        }
    }

    /// How long to wait before asking what became of a submit without an answer.
    pub(super) async fn doubt_window(&self) -> Result<Duration, StoreError> {
        let observed = self.store.observed(&self.terms.name).await?;
        let lag = observed.lag.unwrap_or_default();
        Ok(doubt::window(self.engine.ambiguity_grace, observed.longest, lag))
    }

    async fn refusal(&self, intent: &Intent, failure: &Failure) -> Result<Refusal, StoreError> {
        let reason = |detail: &Detail| Reason::upstream(detail.code.as_deref(), detail.to_string());
        Ok(match failure {
            Failure::Conflict { named, .. } if named.is_empty() => Refusal::UnnamedConflict,
            Failure::Conflict { named, .. } => Refusal::Conflict(named.iter().copied().collect()),
            Failure::Invalid(detail) => Refusal::Invalid(reason(detail)),
            Failure::Refused(detail) | Failure::Missing(detail) => Refusal::Rejected(reason(detail)),
            Failure::NotSent(_)
            | Failure::TokenRefused(_)
            | Failure::Forbidden { .. }
            | Failure::Throttled { .. }
            | Failure::Unknown(_) => {
                let tries = u32::try_from(intent.attempt - 1).unwrap_or_default();
                Refusal::Again(self.after_failure(Call::Submit, failure, tries).await?)
            }
        })
    }
}
