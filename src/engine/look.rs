//! Look: ask what became of a job's conversations: after its end, after a lost submit, or before it goes again.

use std::time::Duration;

use serde_json::json;

use super::OrgEngine;
use super::ask::{Inquiry, Rest};
use super::sight::Controls;
use super::trouble::last_error;
use crate::domain::backoff;
use crate::domain::pieces::Pieces;
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
        // By an answer that is full and lacks some for the first time nothing is called gone yet.
        let largest = if look.may_end_absent {
            Controls::room(&look.controls, self.terms.details_batch)
        } else {
            self.terms.details_batch
        };
        let pieces = Pieces::new(largest).with(look.ids.iter().copied(), look.blind);
        let asked = self.ask(Inquiry { pieces, controls: &look.controls, before: None }, permit).await?;
        let unanswered = match asked.rest {
            None => None,
            Some(Rest::Later(again)) => {
                Some(Unanswered { again: again.max(SHORTEST_PAUSE), error: None, is_held_up: true })
            }
            Some(Rest::Stopped) => Some(Unanswered { again: SHORTEST_PAUSE, error: None, is_held_up: true }),
            Some(Rest::Unproven(why)) => {
                tracing::warn!(org, job = %look.lease.job, attempt = look.tries + 1, why, "a look proved nothing about what it left out");
                let error = json!({ "call": "facts", "message": why });
                Some(Unanswered {
                    again: backoff::step(look.blind, 1.0),
                    error: Some(error),
                    is_held_up: false,
                })
            }
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
