//! Validate: ask Genesys about a call's worth of ids from the slices of many purges, judge, record.

use std::time::Duration;

use super::OrgEngine;
use super::ask::Asked;
use crate::store::StoreError;
use crate::store::orgs::limiter::{Call, Permit};
use crate::store::slices::claim::Question;

impl OrgEngine {
    /// Answers one claimed question.
    pub(super) async fn validate(&self, question: &Question, permit: Permit) -> Result<(), StoreError> {
        let org = &self.terms.name;
        let asked = self.ask(&question.ids(), permit).await?;
        match asked {
            Asked::Whole(answers) => {
                let gap = self.engine.absence_gap;
                let recorded =
                    self.store.record_answers(org, question, &answers, (self.clock)(), gap).await?;
                if let Err(skew) = recorded {
                    self.block(Call::Details, "clock_skew", skew.to_string()).await?;
                    self.store.ask_again(question, Duration::from_mins(1)).await?;
                }
                Ok(())
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
