//! Asks for facts: a question larger than a call is cut, one that upstream refuses as wrong is halved, until a single
//! id is refused alone. One poison id harms no bystander.

use std::time::Duration;

use jiff::SignedDuration;
use uuid::Uuid;

use super::OrgEngine;
use crate::domain::packing::halves;
use crate::domain::reason::Reason;
use crate::genesys::{self, Failure};
use crate::store::StoreError;
use crate::store::orgs::limiter::{Call, Permit};
use crate::store::slices::validated::Answers;

/// A further call of a question waits so long for its permit; else the whole question is asked again later.
const LONGEST_PERMIT_WAIT: Duration = Duration::from_secs(5);

/// How a question ended.
pub(super) enum Asked {
    /// Every id was told of, or left out, by a whole answer.
    Whole(Answers),
    /// Some call had no whole answer: nothing can be told.
    Failed(Failure),
    /// No permit for the rest of it before long.
    NoPermit(Duration),
}

impl OrgEngine {
    /// Asks for the facts of these ids; the permit is for the first call.
    pub(super) async fn ask(&self, ids: &[Uuid], permit: Permit) -> Result<Asked, StoreError> {
        let mut answers = Answers::default();
        let mut permit = Some(permit);
        let mut questions: Vec<&[Uuid]> = ids.chunks(self.terms.details_batch).rev().collect();
        while let Some(question) = questions.pop() {
            let permit = match permit.take() {
                Some(permit) => permit,
                None => match self.further_permit().await? {
                    Ok(permit) => permit,
                    Err(wait) => return Ok(Asked::NoPermit(wait)),
                },
            };
            let answer =
                self.upstream.facts(question, genesys::Permit { write_before: permit.valid_until }).await;
            if let Some(time) = answer.observed.upstream_time {
                answers.upstream_time = Some(answers.upstream_time.map_or(time, |earlier| earlier.min(time)));
            }
            match answer.result {
                Ok(facts) => {
                    answers.facts.extend(facts);
                    self.note_success(Call::Details, &answer.observed).await?;
                }
                Err(Failure::Invalid(detail)) => {
                    if let Some((first, second)) = halves(question) {
                        questions.extend([second, first]);
                    } else {
                        let reason = Reason::upstream(detail.code.as_deref(), detail.to_string());
                        answers.refused.extend(question.iter().map(|&id| (id, reason.clone())));
                    }
                }
                Err(failure) => return Ok(Asked::Failed(failure)),
            }
        }
        Ok(Asked::Whole(answers))
    }

    async fn further_permit(&self) -> Result<Result<Permit, Duration>, StoreError> {
        let longest = SignedDuration::try_from(LONGEST_PERMIT_WAIT).unwrap_or(SignedDuration::MAX);
        loop {
            let until = match self.store.take_permit(&self.terms, Call::Details).await? {
                Ok(permit) => return Ok(Ok(permit)),
                Err(until) => until,
            };
            let wait = until.duration_since((self.clock)());
            let unsigned = Duration::try_from(wait).unwrap_or(Duration::from_millis(10));
            if wait > longest {
                return Ok(Err(unsigned));
            }
            tokio::time::sleep(unsigned.max(Duration::from_millis(10))).await;
        }
    }
}
