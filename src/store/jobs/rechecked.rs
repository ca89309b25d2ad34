//! A waiting job's ids, looked at afresh: what may no longer be deleted leaves it, the rest goes on to its intent.

use jiff::SignedDuration;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use super::claim::Look;
use super::settle::Settlement;
use super::{finish, pack, parts, reserve};
use crate::domain::eligibility::{Evidence, Verdict, judge};
use crate::domain::outcome::{Marks, Outcome};
use crate::domain::reason::codes;
use crate::domain::state::JobResult;
use crate::domain::terms::EngineTerms;
use crate::store::StoreError;
use crate::store::error::ensure_rows;
use crate::store::holds::protect;
use crate::store::slices::validated::Answers;
use crate::store::tx::Tx;

/// Judges every conversation of the job by the fresh facts.
pub(super) async fn record(
    tx: &mut Tx,
    org: &str,
    look: &Look,
    answers: &Answers,
    terms: &EngineTerms,
    settlement: &mut Settlement,
) -> Result<(), StoreError> {
    let held = protect::held_among(tx, org, &look.ids).await?;
    let gap = SignedDuration::try_from(terms.absence_gap).unwrap_or(SignedDuration::MAX);
    // The earliest of the clocks that a look has at hand: the one by which fewer conversations are old enough.
    let now = answers.upstream_time.map_or(settlement.now, |upstream| upstream.min(settlement.now));
    let (mut staying, mut leaving) = (Vec::new(), Vec::new());
    for (place, id) in parts::with_ids(&settlement.parts, &settlement.patch) {
        let Some(cell) = settlement.patch.cell(place) else { continue };
        let absent_at = settlement.patch.slice(place.slice).and_then(|slice| slice.absent_at);
        let evidence = Evidence {
            facts: answers.facts.get(&id),
            cell,
            is_absence_old_enough: absent_at
                .is_some_and(|absent| look.asked_at.duration_since(absent) >= gap),
            is_held: held.contains(&id),
            // An eligible conversation was never left out before, so its absence here is a first one.
            was_carried_elsewhere: false,
        };
        let verdict = match answers.refused.get(&id) {
            Some(reason) => Verdict::Decided(Outcome::Failed, reason.clone()),
            None => judge(evidence, &look.policy, now),
        };
        match verdict {
            Verdict::Decided(Outcome::Eligible, _) => {
                staying.push(id);
                continue;
            }
            Verdict::Decided(outcome, reason) => {
                settlement.patch.decide(place, Outcome::Eligible, outcome, reason)?;
            }
            Verdict::AbsentOnce => {
                settlement.patch.decide(place, Outcome::Eligible, Outcome::Pending, codes::FACTS_STALE)?;
                settlement.patch.mark(place, Marks::ABSENT, Marks::NONE)?;
                if let Some(slice) = settlement.patch.slice_mut(place.slice) {
                    slice.absent_at = Some(settlement.now);
                    slice.run_at = Some(settlement.now + gap);
                }
            }
        }
        if let Some(part) = settlement.parts.get_mut(&place.slice) {
            part.positions.remove(&place.position);
        }
        leaving.push((place, id));
    }
    let job = settlement.job.id;
    reserve::release(tx, &mut settlement.patch, org, job, &leaving).await?;
    parts::store(tx, job, &settlement.parts).await?;
    if staying.is_empty() {
        return finish::finish(tx, job, JobResult::Withdrawn, None).await;
    }
    pack::set_ids(tx, job, &staying).await?;
    keep_waiting(tx, job, look).await
}

/// What is left of the job waits for its intent, with facts of this look.
async fn keep_waiting(tx: &mut Tx, job: Uuid, look: &Look) -> Result<(), StoreError> {
    let failed = tx.failed();
    let done = sqlx::query!(
        "-- record_recheck
        update jobs
        set recheck = false, rechecked = true, facts_at = $2, facts_epoch = $3, run_at = clock_timestamp(),
            lease_until = null
        where id = $1 and state = 'waiting'",
        job,
        look.asked_at.to_sqlx() as _,
        look.policy_epoch
    )
    .execute(&mut **tx)
    .await
    .map_err(failed)?;
    ensure_rows("record_recheck", done.rows_affected(), 1)
}
