//! Look: ask what became of a job's conversations: after its end, after a lost submit, or before it goes again.

use std::time::Duration;

use serde_json::json;

use super::OrgEngine;
use super::ask::Rest;
use super::trouble::last_error;
use crate::genesys::Failure;
use crate::store::StoreError;
use crate::store::jobs::looks::{Look, LookKind, Unanswered};
use crate::store::orgs::hurdle::Hurdle;
use crate::store::orgs::limiter::{Call, Permit};

/// A look that was held up comes again no sooner.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

impl OrgEngine {
    /// Looks at one job's conversations, and records what was seen.
    pub(super) async fn look(&self, look: &Look, permit: Permit) -> Result<(), StoreError> {
        let org = &self.terms.name;
        let asked = self.ask(&look.ids, permit, look.blind, None).await?;
        let unanswered = match asked.rest {
            None => None,
            Some(Rest::Later(again)) => {
                Some(Unanswered { again: again.max(SHORTEST_PAUSE), error: None, is_held_up: true })
            }
            Some(Rest::Stopped) => Some(Unanswered { again: SHORTEST_PAUSE, error: None, is_held_up: true }),
            Some(Rest::Failed(failure)) => {
                tracing::warn!(org, job = %look.lease.job, attempt = look.tries + 1, error = %failure, "a look had no whole answer");
                let again = self.after_failure(Call::Details, &failure, look.blind).await?;
                // What is refused or silenced for the whole org says nothing about this job.
                let is_held_up = !matches!(failure, Failure::Unknown(_));
                Some(Unanswered { again, error: Some(last_error(failure.detail())), is_held_up })
            }
        };
        let is_whole = unanswered.is_none();
        let own_time = (self.clock)();
        let recorded =
            self.store.record_look(org, look, &asked.answers, unanswered, own_time, &self.engine).await?;
        if recorded.is_ok() && is_whole && look.kind == LookKind::Recheck {
            self.overcome(Hurdle::Clock).await?;
        }
        if let Err(skew) = recorded {
            self.block(Hurdle::Clock, "clock_skew", skew.to_string()).await?;
            let error = Some(json!({ "call": "facts", "message": skew.to_string() }));
            let unanswered = Unanswered { again: Duration::from_mins(1), error, is_held_up: true };
            let nothing = crate::store::slices::validated::Answers::default();
            // Without answers no clock is compared.
            let _ =
                self.store.record_look(org, look, &nothing, Some(unanswered), own_time, &self.engine).await?;
        }
        Ok(())
    }
}
