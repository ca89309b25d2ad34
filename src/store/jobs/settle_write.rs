//! What settling writes to the job itself: it is looked at again, waits again, or is over.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::Value;
use uuid::Uuid;

use super::settle::{Settlement, Unanswered};
use super::{finish, parts, reserve};
use crate::domain::outcome::Outcome;
use crate::domain::reason::{Reason, codes};
use crate::domain::state::JobResult;
use crate::domain::terms::EngineTerms;
use crate::store::StoreError;
use crate::store::slices::Place;
use crate::store::slices::patch::Patch;
use crate::store::tx::{Tx, Writes as _};

pub(super) fn fail_open(settlement: &mut Settlement, reason: &Reason) -> Result<(), StoreError> {
    for place in parts::places(&settlement.parts).collect::<Vec<_>>() {
        if settlement.patch.cell(place).is_some_and(|cell| cell.outcome == Outcome::Submitted) {
            settlement.patch.decide(place, Outcome::Submitted, Outcome::Failed, reason.clone())?;
        }
    }
    Ok(())
}

/// The fate of every id is known, or nothing can be told any more: all are let go, and the job is over.
pub(super) async fn done(
    tx: &mut Tx,
    org: &str,
    settlement: &mut Settlement,
    error: Option<&Value>,
) -> Result<(), StoreError> {
    let job = settlement.job.id;
    let kept = reserve::kept_by(tx, job).await?;
    let mut leaving = parts::with_ids(&settlement.parts, &settlement.patch);
    leaving.retain(|(_, id)| kept.contains(id));
    let_go(tx, org, settlement, &leaving).await?;
    conclude(tx, settlement, error).await
}

/// The job has let everything go: it is over.
pub(super) async fn conclude(
    tx: &mut Tx,
    settlement: &Settlement,
    error: Option<&Value>,
) -> Result<(), StoreError> {
    let job = &settlement.job;
    let is_completed =
        job.upstream_state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case("completed"));
    let result = if job.overdue_since.is_some() {
        JobResult::TimedOut
    } else if job.ended_at.is_none() || job.is_lost() {
        JobResult::Lost
    } else if is_completed {
        JobResult::Completed
    } else {
        JobResult::Failed
    };
    finish::finish(tx, job.id, result, error).await
}

/// Lets go of what the job has nothing to do with any more.
pub(super) async fn let_go(
    tx: &mut Tx,
    org: &str,
    settlement: &mut Settlement,
    leaving: &[(Place, Uuid)],
) -> Result<(), StoreError> {
    ask_retried_afresh(&mut settlement.patch, leaving, settlement.now)?;
    reserve::release(tx, &mut settlement.patch, org, settlement.job.id, &settlement.parts, leaving).await
}

/// What a retry took up while upstream might still delete it was judged by facts from before the job's end, or is being
/// asked about since then: it is asked about afresh. What this very look has judged is as fresh as can be.
fn ask_retried_afresh(
    patch: &mut Patch,
    leaving: &[(Place, Uuid)],
    now: Timestamp,
) -> Result<(), StoreError> {
    for (place, _) in leaving {
        match patch.cell(*place).map(|cell| cell.outcome) {
            Some(Outcome::Eligible) if !patch.has_decided(*place) => {
                patch.decide(*place, Outcome::Eligible, Outcome::Pending, codes::FACTS_STALE)?;
            }
            Some(Outcome::Pending) => patch.revoke_question(place.slice, now),
            _ => {}
        }
    }
    Ok(())
}

/// Looks again after `wait`; `unanswered`: because this look had no whole answer.
pub(super) async fn look_again(
    tx: &mut Tx,
    settlement: &Settlement,
    wait: Duration,
    unanswered: Option<&Unanswered>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "-- look_again
        update jobs
        set run_at = $2::timestamptz + make_interval(secs => $3), lease_until = null,
            tries = least(tries + 1, 1000),
            blind = case when $5 then least(blind + 1, 1000) when $7 then blind else 0 end,
            last_error = coalesce($4, last_error), open = $6
        where id = $1",
        settlement.job.id,
        settlement.now.to_sqlx() as _,
        wait.as_secs_f64(),
        unanswered.and_then(|unanswered| unanswered.error.clone()),
        unanswered.is_some_and(|unanswered| !unanswered.is_held_up),
        open_left(settlement),
        unanswered.is_some_and(|unanswered| unanswered.is_held_up)
    )
    .exactly(tx, 1)
    .await
}

fn open_left(settlement: &Settlement) -> i32 {
    let open = parts::places(&settlement.parts)
        .filter(|&place| settlement.patch.cell(place).is_some_and(|cell| cell.outcome == Outcome::Submitted))
        .count();
    i32::try_from(open).unwrap_or(i32::MAX)
}

/// Its conversations are settled, but upstream may still run it: it keeps slot and ids.
pub(super) async fn keep_slot(
    tx: &mut Tx,
    settlement: &Settlement,
    terms: &EngineTerms,
) -> Result<(), StoreError> {
    look_again(tx, settlement, Duration::from_hours(1).min(terms.job_deadline), None).await
}

/// Notes how late the deletions showed. When the job ended is known only to lie between two polls, so the earlier
/// counts: a lag that came out too short would have the next job taken for failed, and its ids submitted again.
///
/// Polls that came far apart because this service was held up tell nothing either.
pub(super) async fn note_lag(
    tx: &mut Tx,
    settlement: &Settlement,
    seen_at: Timestamp,
    terms: &EngineTerms,
) -> Result<(), StoreError> {
    let job = &settlement.job;
    let Some((earliest_end, ended_at)) = job.not_ended_at().zip(job.ended_at) else { return Ok(()) };
    let uncertain = ended_at.duration_since(earliest_end).unsigned_abs();
    if job.seen_running_at.is_some() && uncertain > terms.poll_max * 2 {
        return Ok(());
    }
    sqlx::query!(
        "-- note_lag\nupdate jobs set lag_seconds = $2 where id = $1",
        settlement.job.id,
        seen_at.duration_since(earliest_end).as_secs_f64()
    )
    .run(tx)
    .await?;
    Ok(())
}

/// What is still there waits for a new intent, after a fresh look; the row of losses goes on.
pub(super) async fn wait_again(tx: &mut Tx, settlement: &Settlement) -> Result<(), StoreError> {
    let ids: Vec<_> =
        parts::with_ids(&settlement.parts, &settlement.patch).into_iter().map(|(_, id)| id).collect();
    sqlx::query!(
        "-- wait_again
        update jobs
        set state = 'waiting', recheck = true, run_at = clock_timestamp(), lease_until = null, call_before = null,
            tries = 0, blind = 0, open = 0, ids = $2, size = cardinality($2::uuid[])
        where id = $1 and state = 'in_doubt'",
        settlement.job.id,
        &ids
    )
    .exactly(tx, 1)
.await
}
