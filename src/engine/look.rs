//! Look: queries what happened to the conversations of jobs: after their end, after a lost submit, or before they are
//! submitted again. Jobs whose conversations fit into one call share it.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

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
use crate::store::slices::validated::Answers;

/// A look that was held up comes again no sooner.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

impl OrgEngine {
    /// Looks at the conversations of these jobs, and records the result for each: one that can't be recorded stops no
    /// other.
    pub(super) async fn look(&self, looks: &[Look], permit: Permit) -> Result<(), StoreError> {
        // If several are queried together, each got an answer the last time.
        let blind = looks.iter().map(|look| look.blind).max().unwrap_or_default();
        let controls = looks.first().map_or(&[][..], |look| &look.controls);
        // By an answer that is full and lacks some for the first time nothing is called gone yet.
        let largest = if looks.iter().any(|look| look.may_end_absent) {
            Controls::room(controls, self.terms.details_batch)
        } else {
            self.terms.details_batch
        };
        let pieces = Pieces::new(largest).with(ids(looks), blind);
        let asked = self.ask(Inquiry { pieces, controls, before: None }, permit).await?;
        let unanswered = match asked.rest {
            None => None,
            Some(Rest::Later(again)) => {
                Some(Unanswered { again: again.max(SHORTEST_PAUSE), error: None, is_held_up: true })
            }
            Some(Rest::Stopped) => Some(Unanswered { again: SHORTEST_PAUSE, error: None, is_held_up: true }),
            Some(Rest::Unproven(why)) => Some(self.unproven(looks, blind, &why)),
            Some(Rest::Failed(failure)) => Some(self.unanswered(looks, blind, &failure).await?),
        };
        let (own_time, mut failed) = ((self.clock)(), None);
        for look in looks {
            let answers = asked.answers.about(&look.ids);
            let unanswered = unanswered.clone().filter(|_| !answers.are_whole_for(&look.ids));
            if let Err(error) = self.record(look, &answers, unanswered, own_time).await
                && let Some(earlier) = failed.replace(error)
            {
                tracing::error!(org = self.terms.name, error = %earlier, "a look could not be recorded; its lease will run out");
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// What an answer left out proves nothing, for this reason; it is asked again.
    fn unproven(&self, looks: &[Look], blind: u32, why: &str) -> Unanswered {
        let job = looks.first().map(|look| tracing::field::display(look.lease.job));
        let (org, jobs) = (&self.terms.name, looks.len());
        tracing::warn!(
            org,
            job,
            jobs,
            why,
            "the details query shows nothing about the conversations that it left out"
        );
        let error = Some(json!({ "call": "details", "message": why }));
        Unanswered { again: backoff::step(blind, 1.0), error, is_held_up: false }
    }

    /// Why some ids got no answer, and when they are queried again.
    async fn unanswered(
        &self,
        looks: &[Look],
        blind: u32,
        failure: &Failure,
    ) -> Result<Unanswered, StoreError> {
        let attempt = looks.iter().map(|look| look.tries + 1).max();
        let job = looks.first().map(|look| tracing::field::display(look.lease.job));
        tracing::warn!(org = self.terms.name, job, jobs = looks.len(), attempt, error = %failure, "a details query got no complete answer");
        let again = self.after_failure(Call::Details, failure, blind).await?;
        // A refusal or wait of the whole org says nothing about these jobs.
        let is_held_up = !matches!(failure, Failure::Unknown(_));
        Ok(Unanswered { again, error: Some(last_error(failure.detail())), is_held_up })
    }

    async fn record(
        &self,
        look: &Look,
        answers: &Answers,
        unanswered: Option<Unanswered>,
        own_time: Timestamp,
    ) -> Result<(), StoreError> {
        let org = &self.terms.name;
        let is_whole = unanswered.is_none();
        let recorded = self.store.record_look(org, look, answers, unanswered, own_time, &self.engine).await?;
        if recorded.is_ok() && is_whole && look.kind == LookKind::Recheck {
            self.overcome(Hurdle::Clock).await?;
        }
        if let Err(skew) = recorded {
            self.block(Hurdle::Clock, "clock_skew", skew.to_string()).await?;
            let error = Some(json!({ "call": "details", "message": skew.to_string() }));
            let unanswered = Unanswered { again: Duration::from_mins(1), error, is_held_up: true };
            let nothing = Answers::default();
            // Without answers no clock is compared.
            let _ =
                self.store.record_look(org, look, &nothing, Some(unanswered), own_time, &self.engine).await?;
        }
        Ok(())
    }
}

/// Whose facts these looks ask, each once.
fn ids(looks: &[Look]) -> Vec<Uuid> {
    let mut seen = HashSet::new();
    looks.iter().flat_map(|look| &look.ids).copied().filter(|id| seen.insert(*id)).collect()
}
