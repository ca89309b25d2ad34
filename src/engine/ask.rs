//! Asks for facts: a question larger than a call is cut, one that upstream refuses as wrong is halved, until a single
//! id is refused alone. A piece without an answer does not end the question: how it is asked again is in
//! `domain/pieces.rs`. One poison id harms no bystander.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::OrgEngine;
use crate::domain::pieces::Pieces;
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
    /// What whole answers told, and others of what they contain; and what had no answer.
    pub(super) answers: Answers,
    /// Why not all was told, where not all was.
    pub(super) rest: Option<Rest>,
}

/// Why a question was not answered to its end.
pub(super) enum Rest {
    /// A call was refused for the whole org, or some of it had no answer though it was asked again.
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
        let pieces = Pieces::new(self.terms.details_batch).with(ids.iter().copied(), fruitless);
        self.ask_pieces(pieces, permit, before).await
    }

    /// Asks for the facts of these pieces. What fails for the whole org ends it, what fails for itself does not.
    pub(super) async fn ask_pieces(
        &self,
        mut pieces: Pieces<Uuid>,
        permit: Permit,
        before: Option<&[Uuid]>,
    ) -> Result<Asked, StoreError> {
        let until = Instant::now() + self.engine.lease / 2;
        let mut answers = Answers::default();
        let mut permit = Some(permit);
        let (mut rest, mut last_failure) = (None, None);
        while !pieces.is_over() {
            let permit = match permit.take() {
                Some(permit) => permit,
                None => match self.further_permit(until, before).await? {
                    Ok(permit) => permit,
                    Err(held_up) => {
                        rest = Some(held_up);
                        break;
                    }
                },
            };
            let Some(piece) = pieces.next_piece() else { break };
            let answer = self.upstream.facts(&piece.ids, self.permit(permit.valid_until)).await;
            if let Some(time) = answer.observed.upstream_time {
                answers.upstream_time = Some(answers.upstream_time.map_or(time, |earlier| earlier.min(time)));
            }
            match answer.result {
                Ok(told) => {
                    let incomplete = take_in(&mut answers, &piece.ids, told);
                    pieces.told();
                    self.note_success(Call::Details, &answer.observed).await?;
                    if let Some(detail) = incomplete {
                        // What it leaves out had no answer.
                        pieces.failed(piece.without(|id| answers.told.contains(id)));
                        last_failure = Some(Failure::Unknown(detail));
                    }
                }
                Err(Failure::Invalid(detail)) => {
                    if let Some(id) = pieces.refused(piece) {
                        let reason = Reason::upstream(detail.code.as_deref(), detail.to_string());
                        answers.refused.insert(id, reason);
                    }
                }
                Err(failure @ Failure::Unknown(_)) => {
                    tracing::debug!(org = self.terms.name, ids = piece.ids.len(), error = %failure, "a call had no answer; others go on");
                    pieces.failed(piece);
                    last_failure = Some(failure);
                }
                Err(failure) => {
                    rest = Some(Rest::Failed(failure));
                    break;
                }
            }
        }
        let is_all_asked = pieces.is_empty();
        for piece in pieces.without_answer() {
            if let [id] = piece.as_slice() {
                answers.alone.insert(*id);
            }
            answers.failed.extend(piece);
        }
        let has_failed = !is_all_asked || !answers.failed.is_empty();
        let rest = rest.or_else(|| last_failure.filter(|_| has_failed).map(Rest::Failed));
        Ok(Asked { answers, rest })
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
