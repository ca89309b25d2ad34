//! Releases the work of a step that did not finish, so that nobody waits for its lease: at once if a stop cut it, with
//! backoff if it panicked.

use serde_json::json;

use super::OrgEngine;
use crate::store::StoreError;
use crate::store::jobs::lease::JobLease;
use crate::store::slices::SliceKey;
use crate::store::slices::claim::Question;

/// The lease of a step.
pub(super) enum Held {
    /// Whether its call left is unknown.
    Submit { lease: JobLease, body_sha256: [u8; 32] },
    /// A question about jobs, which anybody may ask again.
    Jobs(Vec<JobLease>),
    /// A question before a submit: each slice with its epoch.
    Slices(Vec<(SliceKey, i64)>),
}

impl Held {
    pub(super) fn slices(question: &Question) -> Self {
        Self::Slices(question.slices.iter().map(|asked| (asked.slice, asked.epoch)).collect())
    }
}

impl OrgEngine {
    /// Releases the work of a step that was cut; recorded results are not touched.
    pub(super) async fn give_back(&self, held: &Held) {
        let org = &self.terms.name;
        match held {
            Held::Submit { lease, body_sha256 } => {
                let error =
                    json!({ "call": "submit", "message": "the process stopped before there was an answer" });
                self.told(self.store.record_lost(org, *lease, *body_sha256, &error, &self.engine).await);
            }
            Held::Jobs(leases) => {
                for lease in leases {
                    self.told(self.store.give_back_job(org, *lease).await);
                }
            }
            Held::Slices(slices) => self.told(self.store.give_back_slices(org, slices).await),
        }
    }

    /// Delays the work of a step that panicked; recorded results are not touched.
    pub(super) async fn set_back(&self, step: &'static str, held: &Held, panic: &str) {
        let org = &self.terms.name;
        let error = json!({ "call": step, "message": "this service failed on it; see its log" });
        match held {
            Held::Submit { lease, body_sha256 } => {
                tracing::error!(org, step, job = %lease.job, panic, "a step panicked; its submit is in doubt");
                self.told(self.store.record_lost(org, *lease, *body_sha256, &error, &self.engine).await);
            }
            Held::Jobs(leases) => {
                for lease in leases {
                    tracing::error!(org, step, job = %lease.job, panic, "a step panicked; it is done again later");
                    self.told(self.store.set_job_back(org, *lease, &error).await);
                }
            }
            Held::Slices(slices) => {
                for (slice, _) in slices {
                    tracing::error!(org, step, purge = %slice.purge, slice = slice.no, panic, "a step panicked; it is done again later");
                }
                self.told(self.store.set_slices_back(org, slices).await);
            }
        }
    }

    fn told(&self, given_back: Result<(), StoreError>) {
        match given_back {
            // It had recorded its result.
            Ok(()) | Err(StoreError::LeaseLost { .. }) => {}
            Err(error) => {
                tracing::warn!(org = self.terms.name, %error, "a lease could not be released; it will run out");
            }
        }
    }
}
