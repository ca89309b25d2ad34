//! Asks for facts: a question larger than a call is cut, one that upstream refuses as wrong is halved, until a single
//! id is refused alone. One poison id harms no bystander.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::OrgEngine;
use crate::domain::packing::halves;
use crate::domain::reason::Reason;
use crate::genesys::{self, Failure};
use crate::store::StoreError;
use crate::store::orgs::limiter::{Call, Permit};
use crate::store::slices::validated::Answers;

/// A question of 1000 ids that is halved so often is one of a single id.
const LARGEST_SHIFT: u32 = 10;

/// How a question ended.
pub(super) enum Asked {
    /// Every id was told of, or left out, by a whole answer; but for those that there was no time to ask about.
    Told(Answers),
    /// Some call had no whole answer: nothing can be told.
    Failed(Failure),
    /// Nothing was told, and there is no permit to go on with before long.
    NoPermit(Duration),
}

impl OrgEngine {
    /// Asks for the facts of these ids; the permit is for the first call.
    ///
    /// However many calls it takes, it ends well within the lease: what was told by then is worth keeping, for a small
    /// budget may never allow for the whole question at once.
    pub(super) async fn ask(&self, ids: &[Uuid], permit: Permit) -> Result<Asked, StoreError> {
        let until = Instant::now() + self.engine.lease / 4;
        let mut answers = Answers::default();
        let mut permit = Some(permit);
        let mut questions: Vec<&[Uuid]> = ids.chunks(self.question_size(ids.len())).rev().collect();
        while let Some(question) = questions.pop() {
            let further = match permit.take() {
                Some(permit) => Ok(permit),
                None => self.further_permit(until).await?,
            };
            let permit = match further {
                Ok(permit) => permit,
                Err(wait) => {
                    questions.push(question);
                    return Ok(self.told_in_part(answers, &questions, ids, wait));
                }
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
                Err(Failure::Invalid(detail)) => match halves(question) {
                    Some((first, second)) => questions.extend([second, first]),
                    None => {
                        let reason = Reason::upstream(detail.code.as_deref(), detail.to_string());
                        answers.refused.extend(question.iter().map(|&id| (id, reason.clone())));
                    }
                },
                Err(failure) => return Ok(Asked::Failed(failure)),
            }
        }
        self.halvings.store(0, Ordering::Relaxed);
        Ok(Asked::Told(answers))
    }

    /// The size of a call's question: smaller where the last ones were used up before halving had found anything.
    fn question_size(&self, ids: usize) -> usize {
        let halvings = self.halvings.load(Ordering::Relaxed).min(LARGEST_SHIFT);
        (self.terms.details_batch.min(ids) >> halvings).max(1)
    }

    fn told_in_part(&self, mut answers: Answers, left: &[&[Uuid]], ids: &[Uuid], wait: Duration) -> Asked {
        answers.unasked = left.iter().flat_map(|question| question.iter().copied()).collect();
        if answers.unasked.len() < ids.len() {
            return Asked::Told(answers);
        }
        self.halvings.fetch_add(1, Ordering::Relaxed);
        Asked::NoPermit(wait)
    }

    /// Waits for a permit; tells how long it would have to wait where that goes beyond `until`.
    async fn further_permit(&self, until: Instant) -> Result<Result<Permit, Duration>, StoreError> {
        loop {
            let longest = until.saturating_duration_since(Instant::now());
            let opens_at = match self.store.take_permit(&self.terms, Call::Details).await? {
                Ok(permit) => return Ok(Ok(permit)),
                Err(opens_at) => opens_at,
            };
            let wait = Duration::try_from(opens_at.duration_since((self.clock)())).unwrap_or_default();
            let wait = wait.max(Duration::from_millis(10));
            if wait > longest {
                return Ok(Err(wait));
            }
            tokio::time::sleep(wait).await;
        }
    }
}
