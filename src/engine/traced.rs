//! Adds the spans of a step to the traces of its purges.

use uuid::Uuid;

use super::OrgEngine;
use super::give_back::Held;
use crate::store::StoreError;
use crate::traces::{MOST_PURGES, Step};

impl OrgEngine {
    /// Records a step that has ended; if its purges can't be read, it is dropped.
    pub(super) async fn trace(&self, step: Option<&Step>, held: &Held, ending: &'static str) {
        let Some(step) = step else { return };
        let (span, calls) = step.end();
        let span = span.with("org", self.terms.name.clone());
        let span = match held {
            Held::Submit { lease, .. } => span.with("job.id", lease.job.to_string()),
            Held::Jobs(leases) if leases.len() == 1 => span.with("job.id", leases[0].job.to_string()),
            Held::Jobs(_) | Held::Slices(_) => span,
        };
        let span = if ending == "ok" { span } else { span.failed(ending) };
        match self.purges_of(held).await {
            Ok(purges) => self.traces.step(&purges, &span, &calls),
            Err(error) => tracing::debug!(org = self.terms.name, %error, "a step is in no trace"),
        }
    }

    /// The purges of a step whose traces are known; only some if they are many.
    async fn purges_of(&self, held: &Held) -> Result<Vec<Uuid>, StoreError> {
        let purges = match held {
            Held::Submit { lease, .. } => self.store.some_purges_of_jobs(&[lease.job], MOST_PURGES).await?,
            Held::Jobs(leases) => {
                let jobs: Vec<Uuid> = leases.iter().map(|lease| lease.job).collect();
                self.store.some_purges_of_jobs(&jobs, MOST_PURGES).await?
            }
            Held::Slices(slices) => {
                let mut purges: Vec<Uuid> = slices.iter().map(|(slice, _)| slice.purge).collect();
                purges.sort_unstable();
                purges.dedup();
                purges.truncate(MOST_PURGES);
                purges
            }
        };
        let ask = |unknown: Vec<Uuid>| async move { self.store.traceparents(&unknown).await };
        self.traces.look_up(&purges, ask).await?;
        Ok(purges)
    }
}
