//! Settles: records what a look after the submit showed, and ends the job when the fate of every id is known.
//!
//! Each round settles what it decided, so a purge is final when its own conversations are, however long others in
//! the job take.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use serde_json::Value;

use super::claim::{Look, LookKind};
use super::lease::{LockedJob, lock};
use super::parts::{self, Parts};
use super::settle_decide::{Round, Tally};
use super::{finish, rechecked, reserve};
use crate::domain::backoff;
use crate::domain::doubt::{self, Next, Reread};
use crate::domain::events::EventType;
use crate::domain::outcome::Outcome;
use crate::domain::reason::{Reason, Step, codes};
use crate::domain::state::JobResult;
use crate::domain::terms::EngineTerms;
use crate::store::error::ensure_rows;
use crate::store::events::{Actor, OfPurge, write_for_purges};
use crate::store::orgs::{lock as org_lock, pace};
use crate::store::slices::SliceKey;
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

impl Store {
    /// Records a whole answer to a look.
    pub async fn record_look(
        &self,
        org: &str,
        look: &Look,
        answers: &Answers,
        terms: &EngineTerms,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin("record_look").await?;
        let mut settlement = open(&mut tx, org, look).await?;
        match look.kind {
            LookKind::Recheck => {
                rechecked::record(&mut tx, org, look, answers, terms, &mut settlement).await?
            }
            LookKind::Late => self.note_late(&mut tx, org, answers, &mut settlement).await?,
            LookKind::Reread => after_reread(&mut tx, org, look, answers, terms, &mut settlement).await?,
            LookKind::Verify | LookKind::Overdue => {
                after_end(&mut tx, org, look, answers, terms, &mut settlement).await?;
            }
        }
        settlement.patch.write(self, &mut tx).await?;
        tx.commit().await
    }

    /// Records that no whole answer came. After `job_deadline` without one nothing can be told any more.
    pub async fn record_blind_look(
        &self,
        org: &str,
        look: &Look,
        wait: Duration,
        error: &Value,
        terms: &EngineTerms,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin("record_blind_look").await?;
        let mut settlement = open(&mut tx, org, look).await?;
        let is_verifying = matches!(look.kind, LookKind::Verify | LookKind::Overdue);
        if is_verifying && settlement.job.is_blind_too_long(settlement.now, terms.job_deadline) {
            fail_open(&mut settlement, &codes::UNVERIFIED)?;
            done(&mut tx, org, &mut settlement, Some(error)).await?;
        } else {
            look_again(&mut tx, &settlement, wait, Some(error)).await?;
        }
        settlement.patch.write(self, &mut tx).await?;
        tx.commit().await
    }

    /// The last look at a job that was given up: what is gone after all is noted beside the outcomes, which stay.
    async fn note_late(
        &self,
        tx: &mut Tx,
        org: &str,
        answers: &Answers,
        settlement: &mut Settlement,
    ) -> Result<(), StoreError> {
        let gone = |id: &uuid::Uuid| {
            answers.facts.get(id).is_some_and(|facts| facts.presence == crate::domain::facts::Presence::Gone)
        };
        let mut by_purge = std::collections::BTreeMap::<uuid::Uuid, Vec<uuid::Uuid>>::new();
        for (place, id) in parts::with_ids(&settlement.parts, &settlement.patch) {
            if gone(&id) && settlement.patch.cell(place).is_some_and(|cell| cell.outcome == Outcome::Failed) {
                by_purge.entry(place.slice.purge).or_default().push(id);
            }
        }
        let job = settlement.job.id;
        let events = by_purge.into_iter().map(|(purge, ids)| OfPurge {
            purge,
            event: EventType::GoneLate,
            job: Some(job),
            payload: serde_json::json!({ "conversationIds": ids }),
            webhook: None,
        });
        let events = events.collect();
        done(tx, org, settlement, None).await?;
        write_for_purges(self, tx, settlement.now, Actor::ENGINE, events).await
    }
}

/// Takes the locks in their order: org, job, slices.
async fn open(tx: &mut Tx, org: &str, look: &Look) -> Result<Settlement, StoreError> {
    org_lock::lock(tx, org).await?;
    let job = lock(tx, look.lease).await?;
    let parts = parts::load(tx, job.id).await?;
    let mut keys: Vec<SliceKey> = parts.keys().copied().collect();
    keys.extend(reserve::slices_waiting_for(tx, job.id).await?);
    let step = match look.kind {
        LookKind::Recheck => Step::Recheck,
        LookKind::Reread => Step::Reread,
        LookKind::Verify | LookKind::Overdue | LookKind::Late => Step::Verify,
    };
    let patch = Patch::lock(tx, step, Some(job.id), keys).await?;
    let now = tx.now().await?;
    Ok(Settlement { job, parts, patch, now })
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
    let observed = pace::observed(tx, org).await?;
    let round = Round::new(tx, look, answers, terms, settlement).await?;
    let since_end = round.since_end(settlement);
    let tally = round.settle_ended(settlement, observed.lag)?;
    if tally.gone > 0 && look.kind == LookKind::Verify {
        note_lag(tx, settlement, look.asked_at).await?;
    }
    if tally.open() > 0 {
        let lag = observed.lag.unwrap_or(terms.verify_timeout);
        let wait = next_look(&tally, look.tries, lag.saturating_sub(since_end), terms);
        return look_again(tx, settlement, wait, None).await;
    }
    if look.kind == LookKind::Overdue {
        return keep_slot(tx, settlement, terms).await;
    }
    done(tx, org, settlement, None).await
}

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
    let deadline = SignedDuration::try_from(terms.job_deadline).unwrap_or(SignedDuration::MAX);
    let lost_for = settlement.job.lost_since.map(|since| settlement.now.duration_since(since));
    let reread = Reread {
        newly_gone: tally.gone,
        absent_once: tally.absent_once + tally.untold,
        present: tally.present,
        is_past_deadline: lost_for.is_some_and(|lost_for| lost_for > deadline),
    };
    match doubt::after_reread(reread) {
        Next::LookAgainSoon if tally.absent_once == 0 => {
            look_again(tx, settlement, backoff::step(look.tries, 1.0), None).await
        }
        Next::LookAgainSoon => look_again(tx, settlement, terms.absence_gap, None).await,
        Next::ExtendWindow => {
            let observed = pace::observed(tx, org).await?;
            let lag = observed.lag.unwrap_or(Duration::ZERO);
            look_again(tx, settlement, doubt::window(terms.ambiguity_grace, observed.longest, lag), None)
                .await
        }
        Next::Finished => done(tx, org, settlement, None).await,
        Next::GiveUp => {
            fail_open(settlement, &codes::SUBMIT_UNKNOWN)?;
            done(tx, org, settlement, None).await
        }
        Next::SubmitAgain => {
            let leaving = round.take_back(settlement)?;
            let job = settlement.job.id;
            reserve::release(tx, &mut settlement.patch, org, job, &leaving).await?;
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
    let by_and_by = backoff::step(tries, 1.0) / 2;
    let soon = if until_lag.is_zero() { by_and_by } else { by_and_by.min(until_lag) };
    if tally.absent_once > 0 { terms.absence_gap.min(soon.max(terms.absence_gap)) } else { soon }
}

fn fail_open(settlement: &mut Settlement, reason: &Reason) -> Result<(), StoreError> {
    for place in parts::places(&settlement.parts).collect::<Vec<_>>() {
        if settlement.patch.cell(place).is_some_and(|cell| cell.outcome == Outcome::Submitted) {
            settlement.patch.decide(place, Outcome::Submitted, Outcome::Failed, reason.clone())?;
        }
    }
    Ok(())
}

/// The fate of every id is known: all are let go, and the job is over.
async fn done(
    tx: &mut Tx,
    org: &str,
    settlement: &mut Settlement,
    error: Option<&Value>,
) -> Result<(), StoreError> {
    let job = &settlement.job;
    let carried = parts::with_ids(&settlement.parts, &settlement.patch);
    reserve::release(tx, &mut settlement.patch, org, job.id, &carried).await?;
    let is_completed =
        job.upstream_state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case("completed"));
    let result = if job.overdue_since.is_some() {
        JobResult::TimedOut
    } else if job.ended_at.is_none() || job.misses >= 3 {
        JobResult::Lost
    } else if is_completed {
        JobResult::Completed
    } else {
        JobResult::Failed
    };
    finish::finish(tx, job.id, result, error).await
}

async fn look_again(
    tx: &mut Tx,
    settlement: &Settlement,
    wait: Duration,
    error: Option<&Value>,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let done = sqlx::query!(
        "-- look_again
        update jobs
        set run_at = $2::timestamptz + make_interval(secs => $3), lease_until = null,
            tries = least(tries + 1, 1000), last_error = coalesce($4, last_error), open = $5
        where id = $1",
        settlement.job.id,
        settlement.now.to_sqlx() as _,
        wait.as_secs_f64(),
        error,
        open_left(settlement)
    )
    .execute(&mut **tx)
    .await
    .map_err(failed)?;
    ensure_rows("look_again", done.rows_affected(), 1)
}

fn open_left(settlement: &Settlement) -> i32 {
    let open = parts::places(&settlement.parts)
        .filter(|&place| settlement.patch.cell(place).is_some_and(|cell| cell.outcome == Outcome::Submitted))
        .count();
    i32::try_from(open).unwrap_or(i32::MAX)
}

/// Its conversations are settled, but upstream may still run it: it keeps slot and ids.
async fn keep_slot(tx: &mut Tx, settlement: &Settlement, terms: &EngineTerms) -> Result<(), StoreError> {
    look_again(tx, settlement, Duration::from_hours(1).min(terms.job_deadline), None).await
}

/// Notes how late the deletions showed. When the job ended is known only to lie between two polls, so the earlier
/// counts: a lag that came out too short would have the next job taken for failed, and its ids submitted again.
async fn note_lag(tx: &mut Tx, settlement: &Settlement, seen_at: Timestamp) -> Result<(), StoreError> {
    let Some(earliest_end) = settlement.job.not_ended_at() else { return Ok(()) };
    let failed = tx.failed();
    sqlx::query!(
        "-- note_lag\nupdate jobs set lag_seconds = $2 where id = $1",
        settlement.job.id,
        seen_at.duration_since(earliest_end).as_secs_f64()
    )
    .execute(&mut **tx)
    .await
    .map_err(failed)?;
    Ok(())
}

/// What is still there waits for a new intent, after a fresh look; the row of losses goes on.
async fn wait_again(tx: &mut Tx, settlement: &Settlement) -> Result<(), StoreError> {
    let failed = tx.failed();
    let ids: Vec<_> =
        parts::with_ids(&settlement.parts, &settlement.patch).into_iter().map(|(_, id)| id).collect();
    let done = sqlx::query!(
        "-- wait_again
        update jobs
        set state = 'waiting', recheck = true, run_at = clock_timestamp(), lease_until = null, call_before = null,
            tries = 0, open = 0, ids = $2, size = cardinality($2::uuid[])
        where id = $1 and state = 'in_doubt'",
        settlement.job.id,
        &ids
    )
    .execute(&mut **tx)
    .await
    .map_err(failed)?;
    ensure_rows("wait_again", done.rows_affected(), 1)
}
