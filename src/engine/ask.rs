//! Queries facts. A query larger than one call is split; one that upstream refuses as wrong is halved until a single
//! id is refused alone. A piece without an answer does not end the query: `domain/pieces.rs` decides how it is
//! retried. One bad id harms no other.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::OrgEngine;
use super::sight::{Check, Controls, Proof};
use crate::domain::pieces::{Piece, Pieces};
use crate::domain::reason::Reason;
use crate::domain::sight::Control;
use crate::genesys::{Failure, Lane, NotReady, Told};
use crate::store::StoreError;
use crate::store::orgs::limiter::{Call, Permit};
use crate::store::slices::validated::Answers;

/// How long a further call of a query before a submit waits for its permit; the rest is queried later. After a submit
/// it waits as long as its lease allows, because a partial result may have to be queried again.
const LONGEST_PERMIT_WAIT: Duration = Duration::from_secs(10);

/// How far a question came.
pub(super) struct Asked {
    /// The facts from complete answers, and from incomplete ones for the ids they contain; and the ids without an
    /// answer.
    pub(super) answers: Answers,
    /// Why some ids got no answer, if any.
    pub(super) rest: Option<Rest>,
}

/// Why a question was not answered to its end.
pub(super) enum Rest {
    /// A call was refused for the whole org, or some of it had no answer though it was asked again.
    Failed(Failure),
    /// No permit before long, or no time left within the lease.
    Later(Duration),
    /// An answer proves nothing about what it leaves out, for this reason.
    Unproven(String),
    /// One of the purges, or the org, rests by now.
    Stopped,
}

/// The subject of a query.
pub(super) struct Inquiry<'a> {
    pub(super) pieces: Pieces<Uuid>,
    /// By which its answers are checked.
    pub(super) controls: &'a [Control],
    /// The purges of a query before a submit: it ends if one of them or their org is stopped.
    pub(super) before: Option<&'a [Uuid]>,
}

impl OrgEngine {
    /// Queries facts; the permit is for the first call. A failure of the whole org ends it, a failure of one piece
    /// does not.
    pub(super) async fn ask(&self, inquiry: Inquiry<'_>, permit: Permit) -> Result<Asked, StoreError> {
        let Inquiry { mut pieces, controls, before } = inquiry;
        let until = Instant::now() + self.engine.lease / 2;
        let mut answers = Answers::default();
        let mut controls = Controls::new(controls);
        let mut permit = Some(permit);
        let (mut rest, mut last_failure) = (None, None);
        while rest.is_none() && !pieces.is_over() {
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
            let check = controls.check(&piece.ids, self.terms.details_batch);
            let permit = self.permit(permit.valid_until);
            let named = check.named(&piece.ids);
            let answer = self.call("details", self.upstream.facts(&named, permit)).await;
            if let Some(time) = answer.observed.upstream_time {
                answers.upstream_time = Some(answers.upstream_time.map_or(time, |earlier| earlier.min(time)));
            }
            if let Err(failure) = &answer.result {
                self.note_failed(Call::Details, failure).await?;
            }
            match answer.result {
                Ok(mut told) => {
                    let proof = self.proof(&mut controls, check, &piece, &mut told).await?;
                    pieces.told();
                    self.note_success(Call::Details, &answer.observed).await?;
                    match take_in(&mut answers, &mut pieces, piece, told, proof) {
                        Left::Nothing => {}
                        Left::Failed(failure) => last_failure = Some(failure),
                        Left::Unproven(why) => rest = Some(Rest::Unproven(why)),
                    }
                }
                Err(Failure::Invalid(detail)) => {
                    if let Check::Control(control) = check {
                        self.spare(&mut controls, control).await?;
                        pieces.again(piece);
                    } else if let Some(id) = pieces.refused(piece) {
                        let reason = Reason::upstream(detail.code.as_deref(), detail.to_string());
                        answers.refused.insert(id, reason);
                    }
                }
                Err(failure @ Failure::Unknown(_)) => {
                    tracing::debug!(org = self.terms.name, ids = piece.ids.len(), error = %failure, "a call got no answer; others go on");
                    pieces.failed(piece);
                    last_failure = Some(failure);
                }
                Err(failure) => rest = Some(Rest::Failed(failure)),
            }
        }
        Ok(conclude(answers, pieces, rest, last_failure))
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

/// The part of a piece that an answer left open.
enum Left {
    Nothing,
    /// It says that it is incomplete: ids that it leaves out are queried again, after the others.
    Failed(Failure),
    /// It proves nothing about what it leaves out, and nothing else is left to ask with.
    Unproven(String),
}

/// Records the answer of a call.
fn take_in(
    answers: &mut Answers,
    pieces: &mut Pieces<Uuid>,
    piece: Piece<Uuid>,
    told: Told,
    proof: Proof,
) -> Left {
    let left_out = piece.ids.iter().any(|id| !told.facts.contains_key(id));
    answers.told.extend(told.facts.keys());
    let facts = told.facts;
    let rest = |piece: Piece<Uuid>| piece.without(|id| facts.contains_key(id));
    let left = match (told.incomplete, proof) {
        _ if !left_out => Left::Nothing,
        (Some(detail), _) => {
            pieces.failed(rest(piece));
            Left::Failed(Failure::Unknown(detail))
        }
        (None, Proof::Nothing { can_ask_otherwise: true, .. }) => {
            pieces.again(rest(piece));
            Left::Nothing
        }
        (None, Proof::Nothing { why, can_ask_otherwise: false }) => {
            pieces.again(rest(piece));
            Left::Unproven(why)
        }
        (None, Proof::Whole) => {
            answers.told.extend(&piece.ids);
            Left::Nothing
        }
    };
    answers.facts.extend(facts);
    left
}

/// How far the question came.
fn conclude(
    mut answers: Answers,
    pieces: Pieces<Uuid>,
    rest: Option<Rest>,
    last_failure: Option<Failure>,
) -> Asked {
    let is_all_asked = pieces.is_empty();
    for piece in pieces.without_answer() {
        if let [id] = piece.as_slice() {
            answers.alone.insert(*id);
        }
        answers.failed.extend(piece);
    }
    let has_failed = !is_all_asked || !answers.failed.is_empty();
    let rest = rest.or_else(|| last_failure.filter(|_| has_failed).map(Rest::Failed));
    Asked { answers, rest }
}
