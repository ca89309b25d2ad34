//! Look: ask what became of a job's conversations: after its end, after a lost submit, or before it goes again.

use std::time::Duration;

use super::OrgEngine;
use super::ask::Asked;
use super::trouble::last_error;
use crate::store::StoreError;
use crate::store::jobs::claim::{Look, LookKind};
use crate::store::orgs::limiter::{Call, Permit};

impl OrgEngine {
    /// Looks at one job's conversations, and records what was seen.
    pub(super) async fn look(&self, look: &Look, permit: Permit) -> Result<(), StoreError> {
        let org = &self.terms.name;
        match self.ask(&look.ids, permit).await? {
            // These two are judged as a whole.
            Asked::Told(answers)
                if !answers.unasked.is_empty() && matches!(look.kind, LookKind::Recheck | LookKind::Late) =>
            {
                self.store.try_job_again(look.lease, Duration::ZERO, None).await
            }
            Asked::Told(answers) => self.store.record_look(org, look, &answers, &self.engine).await,
            Asked::NoPermit(wait) => self.store.try_job_again(look.lease, wait, None).await,
            Asked::Failed(failure) => {
                tracing::warn!(org, job = %look.lease.job, error = %failure, "a look had no whole answer");
                let wait = self.after_failure(Call::Details, &failure, look.tries).await?;
                let error = last_error(failure.detail());
                self.store.record_blind_look(org, look, wait, &error, &self.engine).await
            }
        }
    }
}
