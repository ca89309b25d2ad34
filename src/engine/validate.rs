//! Validate: ask Genesys about a call's worth of ids from the slices of many purges, judge, record.

use super::OrgEngine;
use super::ask::Asked;
use crate::store::StoreError;
use crate::store::orgs::block::{CLOCK_SKEW, PROBE_EVERY};
use crate::store::orgs::limiter::{Call, Permit};
use crate::store::slices::claim::Question;

impl OrgEngine {
    /// Answers one claimed question.
    pub(super) async fn validate(&self, question: &Question, permit: Permit) -> Result<(), StoreError> {
        let org = &self.terms.name;
        let asked = self.ask(&question.ids(), permit).await?;
        match asked {
            Asked::Told(answers) => {
                let gap = self.engine.absence_gap;
                let recorded =
                    self.store.record_answers(org, question, &answers, (self.clock)(), gap).await?;
                let Err(skew) = recorded else { return self.note_clocks_agree().await };
                self.block(Call::Details, CLOCK_SKEW, skew.to_string()).await?;
                self.store.ask_again(question, PROBE_EVERY).await
            }
            Asked::NoPermit(wait) => self.store.ask_again(question, wait).await,
            Asked::Failed(failure) => {
                tracing::warn!(org, error = %failure, "a details call had no whole answer");
                let wait = self.after_failure(Call::Details, &failure, question.tries).await?;
                self.store.ask_again(question, wait).await
            }
        }
    }
}
