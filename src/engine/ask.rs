//! Asks for facts: a question larger than a call is cut, one that upstream refuses as wrong is halved, until a single
//! id is refused alone; one that fails again and again is cut smaller each time. One poison id harms no bystander.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::OrgEngine;
use crate::domain::packing::halves;
use crate::domain::reason::Reason;
use crate::genesys::{Detail, Failure, Lane, NotReady, Told};
use crate::store::StoreError;
use crate::store::orgs::limiter::{Call, Permit};
use crate::store::slices::validated::Answers;

/// A further call of a question before a submit waits so long for its permit; what is left is asked later. After a submit
/// it waits as long as its lease allows, since what is seen in part may have to be asked anew.
const LONGEST_PERMIT_WAIT: Duration = Duration::from_secs(10);

/// How far a question came.
pub(super) struct Asked {
    /// What whole answers told, and others of what they contain.
    pub(super) answers: Answers,
    /// Why not all was told, where not all was.
    pub(super) rest: Option<Rest>,
}

/// Why a question was not answered to its end.
pub(super) enum Rest {
    /// A call had no whole answer.
    Failed(Failure),
    /// No permit before long, or no time left within the lease.
    Later(Duration),
    /// One of the purges, or the org, rests by now.
    Stopped,
}

impl OrgEngine {
    /// Asks for the facts of these ids; the permit is for the first call. `fruitless`: so many questions about them
    /// failed in a row. `before`: the purges that want it before a submit, if it is that: it ends where one of them or
    /// their org is stopped.
    pub(super) async fn ask(
        &self,
        ids: &[Uuid],
        permit: Permit,
        fruitless: u32,
        before: Option<&[Uuid]>,
    ) -> Result<Asked, StoreError> {
        let until = Instant::now() + self.engine.lease / 2;
        let mut answers = Answers::default();
        let mut permit = Some(permit);
        let piece = piece(self.terms.details_batch.min(ids.len()), fruitless);
        let ids = turned(ids, piece, fruitless);
        let mut questions: Vec<&[Uuid]> = ids.chunks(piece).rev().collect();
        while let Some(question) = questions.pop() {
            let permit = match permit.take() {
                Some(permit) => permit,
                None => match self.further_permit(until, before).await? {
                    Ok(permit) => permit,
                    Err(rest) => return Ok(Asked { answers, rest: Some(rest) }),
                },
            };
            let answer = self.upstream.facts(question, self.permit(permit.valid_until)).await;
            if let Some(time) = answer.observed.upstream_time {
                answers.upstream_time = Some(answers.upstream_time.map_or(time, |earlier| earlier.min(time)));
            }
            match answer.result {
                Ok(told) => {
                    let incomplete = take_in(&mut answers, question, told);
                    self.note_success(Call::Details, &answer.observed).await?;
                    if let Some(detail) = incomplete {
                        return Ok(Asked { answers, rest: Some(Rest::Failed(Failure::Unknown(detail))) });
                    }
                }
                Err(Failure::Invalid(detail)) => {
                    if let Some((first, second)) = halves(question) {
                        questions.extend([second, first]);
                    } else {
                        let reason = Reason::upstream(detail.code.as_deref(), detail.to_string());
                        answers.refused.extend(question.iter().map(|&id| (id, reason.clone())));
                    }
                }
                Err(failure) => return Ok(Asked { answers, rest: Some(Rest::Failed(failure)) }),
            }
        }
        Ok(Asked { answers, rest: None })
    }

    async fn further_permit(
        &self,
        until: Instant,
        before: Option<&[Uuid]>,
    ) -> Result<Result<Permit, Rest>, StoreError> {
        loop {
            if let Err(NotReady { failure, .. }) = self.upstream.ready(Lane::Query).await {
                return Ok(Err(Rest::Failed(failure)));
            }
            let wait = match self.store.take_permit(&self.terms, Call::Details).await? {
                Ok(_) if Instant::now() >= until => return Ok(Err(Rest::Later(Duration::ZERO))),
                Ok(permit) => {
                    let may_not_ask = match before {
                        Some(purges) => self.store.may_not_ask(&self.terms.name, purges).await?,
                        None => false,
                    };
                    return Ok(if may_not_ask { Err(Rest::Stopped) } else { Ok(permit) });
                }
                Err(wait) => wait,
            };
            let is_too_long = before.is_some() && wait > LONGEST_PERMIT_WAIT;
            if is_too_long || Instant::now() + wait > until {
                return Ok(Err(Rest::Later(wait)));
            }
            tokio::time::sleep(wait.max(Duration::from_millis(10))).await;
        }
    }
}

/// Takes in what a call told; tells why nothing is known of the others, where the answer says that it is not whole.
fn take_in(answers: &mut Answers, question: &[Uuid], told: Told) -> Option<Box<Detail>> {
    let incomplete = told.incomplete.filter(|_| question.iter().any(|id| !told.facts.contains_key(id)));
    if incomplete.is_some() {
        answers.told.extend(told.facts.keys());
    } else {
        answers.told.extend(question);
    }
    answers.facts.extend(told.facts);
    incomplete
}

/// How many ids a call asks about: half as many with every question that failed.
fn piece(largest: usize, fruitless: u32) -> usize {
    largest.checked_shr(fruitless).unwrap_or_default().max(1)
}

/// The ids from another place on, so that whatever made the last questions fail does not stand first again.
fn turned(ids: &[Uuid], piece: usize, fruitless: u32) -> Vec<Uuid> {
    let mut ids = ids.to_vec();
    if fruitless >= 2 && !ids.is_empty() {
        let by = piece.saturating_mul(usize::try_from(fruitless).unwrap_or(usize::MAX)) % ids.len();
        ids.rotate_left(by);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks about ids of which one makes every call fail, as often as it takes; tells in how many questions.
    fn questions_until_only_the_poison_is_left(ids: usize, poison: usize) -> u32 {
        let poison = Uuid::from_u128(poison as u128);
        let mut open: Vec<Uuid> = (0..ids).map(|id| Uuid::from_u128(id as u128)).collect();
        for fruitless in 0.. {
            let mut told = Vec::new();
            let piece = piece(open.len(), fruitless);
            for question in turned(&open, piece, fruitless).chunks(piece) {
                if question.contains(&poison) {
                    break;
                }
                told.extend_from_slice(question);
            }
            open.retain(|id| !told.contains(id));
            if open == [poison] {
                return fruitless;
            }
        }
        unreachable!("the numbers do not end")
    }

    #[test]
    fn bystanders_of_an_id_that_makes_calls_fail_are_told_of_before_long() {
        for poison in [0, 1, 250, 498, 499] {
            let questions = questions_until_only_the_poison_is_left(500, poison);
            assert!(questions <= 40, "poison at {poison}: {questions} questions");
        }
    }
}
