//! Settles: records what a look after the submit showed, and ends the job when the fate of every id is known.
//!
//! Each round settles what it decided, so a purge is final when its own conversations are, however long others in
//! the job take.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use super::claim::{Look, LookKind};
use super::lease::{LockedJob, lock};
use super::parts::{self, Parts};
use super::settle_decide::{Late, Round, Tally, since_end};
use super::settle_write::{conclude, done, fail_open, keep_slot, let_go, look_again, note_lag, wait_again};
use super::{finish, rechecked, reserve};
use crate::domain::backoff;
use crate::domain::clocks::{self, Skew};
use crate::domain::doubt::{self, Next, Reread};
use crate::domain::events::EventType;
use crate::domain::reason::{Step, codes};
use crate::domain::state::JobResult;
use crate::domain::terms::EngineTerms;
use crate::store::events::{Actor, OfPurge, write_for_purges};
use crate::store::orgs::{lock as org_lock, pace};
use crate::store::slices::patch::Patch;
use crate::store::slices::validated::Answers;
use crate::store::tx::Tx;
use crate::store::{Store, StoreError};

/// A job under lock, with its slices.
pub(super) struct Settlement {
    pub(super) job: LockedJob,
    pub(super) parts: Parts,
    pub(super) patch: Patch,
    pub(super) now: Timestamp,
}

/// Why a look was not answered to its end.
#[derive(Debug, Clone)]
pub struct Unanswered {
    /// When to look again.
    pub again: Duration,
    pub error: Option<Value>,
    /// It says something of the org or of this service, nothing of the job: no patience is used up.
    pub is_held_up: bool,
}

/// A job is given up blind only after so many looks in a row.
const BLIND_LOOKS: u32 = 3;

impl Store {
    /// Records what a look showed, and what it could not show.
    pub async fn record_look(
        &self,
        org: &str,
        look: &Look,
        answers: &Answers,
        unanswered: Option<Unanswered>,
        own_time: Timestamp,
        terms: &EngineTerms,
    ) -> Result<Result<(), Skew>, StoreError> {
        let mut tx = self.begin("record_look").await?;
        let mut settlement = open(&mut tx, org, look).await?;
        let mut late = Vec::new();
        match (look.kind, unanswered) {
            (LookKind::Recheck, unanswered) => {
                // It goes on by what it was told; what it could not be told of, several times in a row, leaves the job.
                let is_patient = |one: &Unanswered| one.is_held_up || look.blind + 1 < BLIND_LOOKS;
                if let Some(unanswered) = unanswered.filter(is_patient) {
                    look_again(&mut tx, &settlement, unanswered.again, Some(&unanswered)).await?;
                } else {
                    let now = match clocks::earliest(settlement.now, own_time, answers.upstream_time) {
                        Ok(now) => now,
                        Err(skew) => return Ok(Err(skew)),
                    };
                    rechecked::record(&mut tx, org, look, answers, terms, &mut settlement, now).await?;
                }
            }
            (LookKind::Late, None) => {
                let lag = pace::observed(&mut tx, org).await?.lag;
                let seen = look_late(&mut tx, org, look, answers, lag, terms, &mut settlement).await?;
                if seen.open == 0 {
                    conclude(&mut tx, &settlement, None).await?;
                } else {
                    go_on_looking(&mut tx, look, &seen.tally, lag, terms, &settlement).await?;
                }
                late = gone_late(settlement.job.id, seen.gone);
            }
            (LookKind::Reread, None) => {
                after_reread(&mut tx, org, look, answers, terms, &mut settlement).await?;
            }
            (LookKind::Verify | LookKind::Overdue, None) => {
                after_end(&mut tx, org, look, answers, terms, &mut settlement).await?;
            }
            (kind, Some(unanswered)) => {
                match kind {
                    LookKind::Verify | LookKind::Overdue if !answers.told.is_empty() => {
                        let lag = pace::observed(&mut tx, org).await?.lag;
                        let round = Round::new(&mut tx, look, answers, terms, &settlement).await?;
                        round.settle_ended(&mut settlement, lag)?;
                    }
                    LookKind::Late => {
                        let lag = pace::observed(&mut tx, org).await?.lag;
                        let seen =
                            look_late(&mut tx, org, look, answers, lag, terms, &mut settlement).await?;
                        late = gone_late(settlement.job.id, seen.gone);
                    }
                    _ => {}
                }
                after_blind(&mut tx, org, look, &unanswered, terms, &mut settlement).await?;
            }
        }
        settlement.patch.write(self, &mut tx).await?;
        // The purges' rows are locked by now, in their order.
        write_for_purges(self, &mut tx, settlement.now, Actor::ENGINE, late).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }
}

/// After the end of a job that was given up: what is gone after all is noted beside the outcomes, which stay. The job lets
/// go of whatever is known, so that each look is about less.
async fn look_late(
    tx: &mut Tx,
    org: &str,
    look: &Look,
    answers: &Answers,
    lag: Option<Duration>,
    terms: &EngineTerms,
    settlement: &mut Settlement,
) -> Result<Late, StoreError> {
    let kept = reserve::kept_by(tx, settlement.job.id).await?;
    let round = Round::new(tx, look, answers, terms, settlement).await?;
    let late = round.settle_late(settlement, lag, &kept)?;
    let_go(tx, org, settlement, &late.known).await?;
    Ok(late)
}

/// Tells each purge what is gone after all.
fn gone_late(job: Uuid, gone: BTreeMap<Uuid, Vec<Uuid>>) -> Vec<OfPurge> {
    let event = |(purge, ids): (Uuid, Vec<Uuid>)| OfPurge {
        purge,
        event: EventType::GoneLate,
        job: Some(job),
        payload: serde_json::json!({ "conversationIds": ids }),
        webhook: None,
    };
    gone.into_iter().map(event).collect()
}

/// Takes the locks in their order: org, job, slices.
async fn open(tx: &mut Tx, org: &str, look: &Look) -> Result<Settlement, StoreError> {
    org_lock::lock(tx, org).await?;
    let job = lock(tx, look.lease).await?;
    let parts = parts::load(tx, job.id).await?;
    let keys = parts.keys().copied().collect();
    let step = match look.kind {
        LookKind::Recheck => Step::Recheck,
        LookKind::Reread => Step::Reread,
        LookKind::Verify | LookKind::Overdue | LookKind::Late => Step::Verify,
    };
    let patch = Patch::lock(tx, step, Some(job.id), keys).await?;
    let now = tx.now().await?;
    Ok(Settlement { job, parts, patch, now })
}

/// No whole answer. After `job_deadline` and several looks without one nothing can be told any more.
async fn after_blind(
    tx: &mut Tx,
    org: &str,
    look: &Look,
    unanswered: &Unanswered,
    terms: &EngineTerms,
    settlement: &mut Settlement,
) -> Result<(), StoreError> {
    let is_patient = unanswered.is_held_up || look.blind + 1 < BLIND_LOOKS;
    if is_patient || !is_past_deadline(settlement, look.kind, terms) {
        return look_again(tx, settlement, unanswered.again, Some(unanswered)).await;
    }
    fail_open(settlement, &codes::UNVERIFIED)?;
    if look.kind == LookKind::Overdue {
        return keep_slot(tx, settlement, terms).await;
    }
    done(tx, org, settlement, unanswered.error.as_ref()).await
}

/// `job_deadline` has passed since the job could be looked at.
fn is_past_deadline(settlement: &Settlement, kind: LookKind, terms: &EngineTerms) -> bool {
    let job = &settlement.job;
    let since = match kind {
        LookKind::Reread => job.lost_since,
        LookKind::Overdue => job.overdue_since,
        LookKind::Verify | LookKind::Late | LookKind::Recheck => job.ended_at,
    };
    let deadline = SignedDuration::try_from(terms.job_deadline).unwrap_or(SignedDuration::MAX);
    since.is_some_and(|since| settlement.now.duration_since(since) > deadline)
}

/// After the upstream job ended, or its deadline passed.
async fn after_end(
    tx: &mut Tx,
    org: &str,
    look: &Look,
    answers: &Answers,
    terms: &EngineTerms,
    settlement: &mut Settlement,
) -> Result<(), StoreError> {
    let lag = pace::observed(tx, org).await?.lag;
    let round = Round::new(tx, look, answers, terms, settlement).await?;
    let tally = round.settle_ended(settlement, lag)?;
    // A look that came late for reasons of our own tells nothing of how late deletions show.
    let is_timely = look.blind == 0 && look.asked_at.duration_since(look.due_at).unsigned_abs() <= TIMELY;
    if tally.gone > 0 && look.kind == LookKind::Verify && is_timely {
        note_lag(tx, settlement, look.asked_at, terms).await?;
    }
    if tally.open() > 0 {
        return go_on_looking(tx, look, &tally, lag, terms, settlement).await;
    }
    if look.kind == LookKind::Overdue {
        return keep_slot(tx, settlement, terms).await;
    }
    done(tx, org, settlement, None).await
}

/// Something is open still.
async fn go_on_looking(
    tx: &mut Tx,
    look: &Look,
    tally: &Tally,
    lag: Option<Duration>,
    terms: &EngineTerms,
    settlement: &Settlement,
) -> Result<(), StoreError> {
    let until_lag = lag.unwrap_or(terms.verify_timeout).saturating_sub(since_end(look, settlement));
    look_again(tx, settlement, next_look(tally, look.tries, until_lag, terms), None).await
}

/// A look that comes so long after it was due was held up.
const TIMELY: Duration = Duration::from_mins(1);

/// After the window of a submit without an answer.
async fn after_reread(
    tx: &mut Tx,
    org: &str,
    look: &Look,
    answers: &Answers,
    terms: &EngineTerms,
    settlement: &mut Settlement,
) -> Result<(), StoreError> {
    let round = Round::new(tx, look, answers, terms, settlement).await?;
    let tally = round.settle_lost(settlement)?;
    let reread = Reread {
        newly_gone: tally.gone,
        absent_once: tally.absent_once,
        present: tally.present,
        is_past_deadline: is_past_deadline(settlement, look.kind, terms),
    };
    match doubt::after_reread(reread) {
        Next::LookAgainSoon => look_again(tx, settlement, terms.absence_gap, None).await,
        Next::ExtendWindow => {
            let observed = pace::observed(tx, org).await?;
            look_again(tx, settlement, observed.window(terms), None).await
        }
        Next::Finished => done(tx, org, settlement, None).await,
        Next::GiveUp => {
            fail_open(settlement, &codes::SUBMIT_UNKNOWN)?;
            done(tx, org, settlement, None).await
        }
        Next::SubmitAgain => {
            let leaving = round.take_back(settlement)?;
            let_go(tx, org, settlement, &leaving).await?;
            let job = settlement.job.id;
            parts::remove(&mut settlement.parts, &leaving);
            parts::store(tx, job, &settlement.parts).await?;
            if parts::places(&settlement.parts).next().is_none() {
                return finish::finish(tx, job, JobResult::Lost, None).await;
            }
            wait_again(tx, settlement).await
        }
    }
}

/// When to look again: after a first absence, when deletions have shown by experience, or by and by.
fn next_look(tally: &Tally, tries: u32, until_lag: Duration, terms: &EngineTerms) -> Duration {
    if tally.absent_once > 0 {
        return terms.absence_gap;
    }
    let by_and_by = backoff::step(tries, 1.0) / 2;
    if until_lag.is_zero() { by_and_by } else { by_and_by.min(until_lag) }
}
