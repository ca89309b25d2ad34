//! Reread: after the window of a submit without an answer. Conversations that are gone were deleted by a job whose id
//! is unknown. Once every id had an answer, those still there are submitted again.

use std::time::Duration;

use uuid::Uuid;

use super::settling::{Settling, Tally};
use crate::domain::doubt::{self, Next};
use crate::domain::outcome::Outcome;
use crate::domain::reason::{Reason, codes};
use crate::domain::state::JobResult;
use crate::domain::verdict::Sight;
use crate::store::findings;
use crate::store::jobs::split::{Cause, split};
use crate::store::jobs::{ending, parts, reserve};
use crate::store::orgs::pace;
use crate::store::purges::canceling;
use crate::store::slices::Place;
use crate::store::tx::Writes as _;
use crate::store::{Store, StoreError};

/// How soon the rest of a round is queried, if nothing blocks it.
const REST: Duration = Duration::from_secs(1);

pub(super) async fn record(store: &Store, settling: &mut Settling<'_>) -> Result<(), StoreError> {
    let tally = see(settling)?;
    let is_past_deadline = settling.is_past_deadline(settling.job.lost_since);
    let mut untold = tally.untold;
    if !settling.is_patient() && is_past_deadline {
        settling.fail_untold(&codes::UNVERIFIED)?;
        untold = 0;
    }
    let still_open = settling.places_with(Outcome::Submitted);
    let present = still_open.iter().filter(|(place, _)| settling.is_looked(*place)).count();
    let next = doubt::after_reread(doubt::Reread {
        newly_gone: tally.gone,
        absent_once: tally.absent_once,
        untold,
        present,
        is_past_deadline,
        losses: settling.job.losses,
    });
    match next {
        Next::LookAgainSoon => {
            settling.keep_round().await?;
            settling.look_again(settling.terms.absence_gap, tally.gone > 0).await
        }
        Next::AskTheRest => {
            settling.keep_round().await?;
            settling.look_again(REST, false).await
        }
        Next::ExtendWindow => {
            settling.end_round().await?;
            // Ids without an answer are queried with the rest, when the window has passed once more.
            settling.unanswered = None;
            let window = pace::observed(&mut settling.tx, settling.org).await?.window(settling.terms);
            settling.look_again(window, true).await
        }
        Next::Finished => settling.done().await,
        Next::GiveUp => {
            for (place, _) in still_open {
                let reason = codes::SUBMIT_UNKNOWN;
                settling.patch.decide(place, Outcome::Submitted, Outcome::Failed, reason)?;
            }
            settling.done().await
        }
        Next::SubmitAgain => settling.submit_again(store, false).await,
        Next::SubmitInHalves => settling.submit_again(store, true).await,
    }
}

/// Settles the conversations that are gone, and records those still there.
fn see(settling: &mut Settling<'_>) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    for (place, id) in settling.places_with(Outcome::Submitted) {
        if settling.is_looked(place) {
            continue;
        }
        // The others of the job can't wait for an id that gets no answer, and it must not be submitted again.
        if let Some(reason) = settling.answers.refused.get(&id) {
            let reason = Reason { detail: reason.detail.clone(), ..codes::SUBMIT_UNKNOWN };
            settling.patch.decide(place, Outcome::Submitted, Outcome::Failed, reason)?;
            continue;
        }
        match settling.sight(&mut tally, place, id)? {
            Some(Sight::Gone) => {
                let reason = codes::GONE_AFTER_LOST_SUBMIT;
                settling.patch.decide(place, Outcome::Submitted, Outcome::Purged, reason)?;
            }
            Some(Sight::Present) => {
                if let Some(part) = settling.parts.get_mut(&place.slice) {
                    part.looked.insert(place.position);
                }
            }
            Some(Sight::AbsentOnce) | None => {}
        }
    }
    Ok(tally)
}

impl Settling<'_> {
    async fn keep_round(&mut self) -> Result<(), StoreError> {
        parts::store(&mut self.tx, self.job.id, &self.parts).await
    }

    async fn end_round(&mut self) -> Result<(), StoreError> {
        for part in self.parts.values_mut() {
            part.looked.clear();
        }
        self.keep_round().await
    }

    /// Conversations that are still there wait for a new intent, after a recheck; the count of losses in a row goes
    /// on.
    async fn submit_again(&mut self, store: &Store, in_halves: bool) -> Result<(), StoreError> {
        let Self { tx, patch, parts, job, org, .. } = self;
        let untold = reserve::leave_out(tx, patch, org, job.id, parts).await?;
        findings::doubt(tx, org, &untold).await?;
        let leaving = self.take_back().await?;
        self.let_go(&leaving).await?;
        parts::remove(&mut self.parts, &leaving);
        self.end_round().await?;
        let carried = parts::with_ids(&self.parts, &self.patch);
        if carried.is_empty() {
            return ending::finish(&mut self.tx, self.job.id, JobResult::Lost, None).await;
        }
        if in_halves {
            let Self { tx, org, job, parts, .. } = self;
            return split(store, tx, org, job, parts, &carried, Cause::Lost).await;
        }
        let ids: Vec<Uuid> = carried.into_iter().map(|(_, id)| id).collect();
        sqlx::query!(
            "-- wait_again
            update jobs
            set state = 'waiting', recheck = true, run_at = clock_timestamp(), lease_until = null,
                call_before = null, tries = 0, blind = 0, open = 0, ids = $2, size = cardinality($2::uuid[])
            where id = $1 and state = 'in_doubt'",
            self.job.id,
            &ids
        )
        .exactly(&mut self.tx, 1)
        .await
    }

    /// Makes conversations that are still there eligible again, in the same job; returns those that leave the job.
    async fn take_back(&mut self) -> Result<Vec<(Place, Uuid)>, StoreError> {
        let purges = self.parts.keys().map(|key| key.purge).collect();
        let canceling = canceling::among(&mut self.tx, purges).await?;
        let mut leaving = Vec::new();
        for (place, id) in parts::with_ids(&self.parts, &self.patch) {
            let is_open = self.patch.cell(place).is_some_and(|cell| cell.outcome == Outcome::Submitted);
            let is_canceling = canceling.contains(&place.slice.purge);
            if is_open && !is_canceling {
                let reason = codes::PRESENT_AFTER_LOST_SUBMIT;
                self.patch.decide(place, Outcome::Submitted, Outcome::Eligible, reason)?;
                continue;
            }
            if is_open {
                self.patch.decide(place, Outcome::Submitted, Outcome::Failed, codes::STILL_PRESENT)?;
            }
            leaving.push((place, id));
        }
        Ok(leaving)
    }
}
