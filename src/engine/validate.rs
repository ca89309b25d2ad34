//! Validate: ask Genesys about a call's worth of ids from the slices of many purges, judge, record.

use std::time::Duration;

use uuid::Uuid;

use super::OrgEngine;
use super::ask::{Inquiry, Rest};
use super::sight::Controls;
use crate::domain::backoff;
use crate::store::StoreError;
use crate::store::orgs::hurdle::Hurdle;
use crate::store::orgs::limiter::{Call, Permit};
use crate::store::slices::claim::Question;
use crate::store::slices::validated::Again;

impl OrgEngine {
    /// Answers one claimed question.
    pub(super) async fn validate(&self, question: &Question, permit: Permit) -> Result<(), StoreError> {
        let org = &self.terms.name;
        let mut purges: Vec<Uuid> = question.slices.iter().map(|asked| asked.slice.purge).collect();
        purges.dedup();
        let controls = &question.controls;
        let pieces = question.pieces(Controls::room(controls, self.terms.details_batch));
        let inquiry = Inquiry { pieces, controls, before: Some(&purges) };
        let asked = self.ask(inquiry, permit).await?;
        let again = match asked.rest {
            None => Again { wait: Duration::from_mins(1), is_fruitless: false },
            // It says nothing of the question, nor of those who do not rest.
            Some(Rest::Stopped) => Again { wait: Duration::ZERO, is_fruitless: false },
            Some(Rest::Later(wait)) => Again { wait, is_fruitless: asked.answers.told.is_empty() },
            Some(Rest::Unproven(why)) => {
                tracing::warn!(
                    org,
                    attempt = question.tries + 1,
                    why,
                    "the details query shows nothing about the conversations that it left out"
                );
                Again { wait: backoff::step(question.tries, 1.0), is_fruitless: false }
            }
            Some(Rest::Failed(failure)) => {
                tracing::warn!(org, attempt = question.tries + 1, error = %failure, "a details query got no complete answer");
                let tries = if asked.answers.told.is_empty() { question.tries } else { 0 };
                let wait = self.after_failure(Call::Details, &failure, tries).await?;
                Again { wait, is_fruitless: false }
            }
        };
        let own_time = (self.clock)();
        let recorded =
            self.store.record_answers(org, question, &asked.answers, own_time, &self.engine, again);
        let recorded = recorded.await?;
        if recorded.is_ok() && !asked.answers.left_out().is_empty() {
            self.store.pause_what_is_missing(org, &purges, self.engine.missing).await?;
        }
        match recorded {
            Ok(()) if asked.answers.told.is_empty() => Ok(()),
            Ok(()) => self.overcome(Hurdle::Clock).await,
            Err(skew) => self.block(Hurdle::Clock, "clock_skew", skew.to_string()).await,
        }
    }
}
