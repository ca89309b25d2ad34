//! A waiting job's ids, looked at afresh: what may no longer be deleted leaves it, the rest goes on to its intent.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::claim::Look;
use super::facts::FactsStamp;
use super::settle::Settlement;
use super::{finish, pack, parts, reserve};
use crate::domain::eligibility::{Evidence, Verdict, judge};
use crate::domain::outcome::{Marks, Outcome};
use crate::domain::reason::codes;
use crate::domain::state::JobResult;
use crate::domain::terms::EngineTerms;
use crate::store::StoreError;
use crate::store::holds::protect;
use crate::store::slices::Place;
use crate::store::slices::carried::carried_among;
use crate::store::slices::validated::Answers;
use crate::store::tx::{Tx, Writes as _};

/// What the conversations are judged by.
struct Fresh<'a> {
    look: &'a Look,
    answers: &'a Answers,
    held: HashSet<Uuid>,
    carried: HashSet<Uuid>,
    /// The earliest of the clocks.
    now: Timestamp,
    gap: SignedDuration,
}

/// Judges every conversation of the job by the fresh facts; `now` is the earliest of the clocks.
pub(super) async fn record(
    tx: &mut Tx,
    org: &str,
    look: &Look,
    answers: &Answers,
    terms: &EngineTerms,
    settlement: &mut Settlement,
    now: Timestamp,
) -> Result<(), StoreError> {
    let held = protect::held_among(tx, org, &look.ids).await?;
    let carried = carried_among(tx, org, &answers.left_out()).await?;
    let gap = SignedDuration::try_from(terms.absence_gap).unwrap_or(SignedDuration::MAX);
    let fresh = Fresh { look, answers, held, carried, now, gap };
    let (mut staying, mut leaving) = (Vec::new(), Vec::new());
    for (place, id) in parts::with_ids(&settlement.parts, &settlement.patch) {
        if fresh.stays(settlement, place, id)? {
            staying.push(id);
        } else {
            leaving.push((place, id));
        }
    }
    let stamp = FactsStamp { at: look.asked_at, epoch: look.policy_epoch };
    for part in settlement.parts.values_mut() {
        part.facts = Some(stamp);
    }
    let job = settlement.job.id;
    reserve::release(tx, &mut settlement.patch, org, job, &settlement.parts, &leaving).await?;
    parts::remove(&mut settlement.parts, &leaving);
    parts::store(tx, job, &settlement.parts).await?;
    if staying.is_empty() {
        return finish::finish(tx, job, JobResult::Withdrawn, None).await;
    }
    pack::set_ids(tx, job, &staying).await?;
    keep_waiting(tx, job).await
}

impl Fresh<'_> {
    /// Whether the conversation may stay in the job; if not, what became of it is decided.
    fn stays(&self, settlement: &mut Settlement, place: Place, id: Uuid) -> Result<bool, StoreError> {
        let Some(cell) = settlement.patch.cell(place) else { return Ok(false) };
        let absent_at = settlement.patch.slice(place.slice).and_then(|slice| slice.absent_at);
        let evidence = Evidence {
            facts: self.answers.facts.get(&id),
            cell,
            is_absence_old_enough: absent_at
                .is_some_and(|absent| self.look.asked_at.duration_since(absent) >= self.gap),
            is_held: self.held.contains(&id),
            was_carried_elsewhere: self.carried.contains(&id),
        };
        if !self.answers.told.contains(&id) && !self.answers.refused.contains_key(&id) {
            settlement.patch.decide(place, Outcome::Eligible, Outcome::Pending, codes::FACTS_STALE)?;
            return Ok(false);
        }
        let verdict = match self.answers.refused.get(&id) {
            Some(reason) => Verdict::Decided(Outcome::Failed, reason.clone()),
            None => judge(evidence, &self.look.policy, self.now),
        };
        match verdict {
            Verdict::Decided(Outcome::Eligible, _) => return Ok(true),
            Verdict::Decided(outcome, reason) => {
                settlement.patch.decide(place, Outcome::Eligible, outcome, reason)?;
            }
            Verdict::AbsentOnce => {
                settlement.patch.decide(place, Outcome::Eligible, Outcome::Pending, codes::FACTS_STALE)?;
                settlement.patch.mark(place, Marks::ABSENT, Marks::NONE)?;
                if let Some(slice) = settlement.patch.slice_mut(place.slice) {
                    slice.absent_at = Some(settlement.now);
                    slice.run_at = Some(settlement.now + self.gap);
                }
            }
        }
        Ok(false)
    }
}

/// What is left of the job waits for its intent, with facts of this look.
async fn keep_waiting(tx: &mut Tx, job: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "-- record_recheck
        update jobs
        set recheck = false, rechecked = true, run_at = clock_timestamp(), lease_until = null, blind = 0, tries = 0
        where id = $1 and state = 'waiting'",
        job
    )
    .exactly(tx, 1)
.await
}
