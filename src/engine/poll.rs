//! Poll: asks for the state of the upstream job until it has ended.

use std::time::Duration;

use super::OrgEngine;
use super::trouble::last_error;
use crate::domain::backoff;
use crate::genesys::{Failure, JobStatus};
use crate::store::StoreError;
use crate::store::jobs::claim::Poll;
use crate::store::jobs::polled::Polled;
use crate::store::orgs::limiter::{Call, Permit};

impl OrgEngine {
    /// Polls one job, and records the answer.
    pub(super) async fn poll(&self, poll: &Poll, permit: Permit) -> Result<(), StoreError> {
        let org = &self.terms.name;
        let permit = self.permit(permit.valid_until);
        let answer = self.call("poll", self.upstream.poll(&poll.upstream_job_id, permit)).await;
        if let Err(failure) = &answer.result {
            self.note_failed(Call::Poll, failure).await?;
        }
        let polled = match answer.result {
            Ok(status) => {
                self.note_success(Call::Poll, &answer.observed).await?;
                self.read(status, poll)
            }
            Err(Failure::Missing(detail)) => {
                // Slower than an answer would be waited for: a job may be unknown for a moment after it was made.
                let again = self.next_poll(poll).max(self.wait_after_missing(poll.tries));
                Polled::Missing { again, error: last_error(&detail) }
            }
            Err(failure) => {
                tracing::warn!(org, job = %poll.lease.job, attempt = poll.tries + 1, error = %failure, "a poll got no answer");
                let again = self.after_failure(Call::Poll, &failure, poll.tries).await?;
                Polled::Silent { again, error: last_error(failure.detail()) }
            }
        };
        self.store.record_poll(org, poll.lease, &polled, &self.engine).await
    }

    fn read(&self, status: JobStatus, poll: &Poll) -> Polled {
        match status {
            JobStatus::Working { state, records_processed } => {
                Polled::Working { state, records_processed, again: self.next_poll(poll) }
            }
            JobStatus::Ended { succeeded, state, records_processed } => {
                Polled::Ended { is_completed: succeeded, state, records_processed }
            }
        }
    }

    fn wait_after_missing(&self, tries: u32) -> Duration {
        backoff::step(tries, 1.0).max(self.engine.poll_initial)
    }

    fn next_poll(&self, poll: &Poll) -> Duration {
        self.pace().next_poll(poll.size, poll.running, self.bounds())
    }
}
