//! A job whose conversations are being settled: its locks, the answers of a look, and the next step of the job.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use serde_json::Value;
use uuid::Uuid;

use super::ended::Carried;
use super::{BLIND_LOOKS, Look, Unanswered};
use crate::domain::facts::Presence;
use crate::domain::outcome::{Marks, Outcome};
use crate::domain::reason::{Reason, codes};
use crate::domain::search::gathered;
use crate::domain::state::JobResult;
use crate::domain::terms::EngineTerms;
use crate::domain::verdict::{Sight, sight};
use crate::store::events::{Actor, OfPurge, write_for_purges};
use crate::store::jobs::lease::{LockedJob, lock};
use crate::store::jobs::parts::{self, Parts};
use crate::store::jobs::{ending, reserve};
use crate::store::orgs::{lock as org_lock, pace};
use crate::store::slices::patch::Patch;
use crate::store::slices::validated::Answers;
use crate::store::slices::{Place, SliceKey};
use crate::store::tx::{Tx, Writes as _};
use crate::store::{Store, StoreError};

/// How many conversations a look saw how.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) gone: usize,
    pub(super) absent_once: usize,
    pub(super) present: usize,
    /// They got no answer.
    pub(super) untold: usize,
}

/// A job under lock, with its slices, and a look at it.
pub(super) struct Settling<'a> {
    pub(super) tx: Tx,
    pub(super) org: &'a str,
    pub(super) look: &'a Look,
    pub(super) answers: &'a Answers,
    pub(super) unanswered: Option<Unanswered>,
    pub(super) terms: &'a EngineTerms,
    pub(super) job: LockedJob,
    pub(super) parts: Parts,
    pub(super) patch: Patch,
    pub(super) now: Timestamp,
    /// It has released everything.
    is_over: bool,
}

impl<'a> Settling<'a> {
    /// Takes the locks in their order: org, job, slices.
    pub(super) async fn open(
        mut tx: Tx,
        org: &'a str,
        look: &'a Look,
        answers: &'a Answers,
        unanswered: Option<Unanswered>,
        terms: &'a EngineTerms,
    ) -> Result<Self, StoreError> {
        org_lock::lock(&mut tx, org).await?;
        let job = lock(&mut tx, look.lease).await?;
        let parts = parts::load(&mut tx, job.id).await?;
        let keys = parts.keys().copied().collect();
        let patch = parts::lock(&mut tx, look.kind.step(), Some(job.id), keys, [&parts]).await?;
        let now = tx.now().await?;
        Ok(Self { tx, org, look, answers, unanswered, terms, job, parts, patch, now, is_over: false })
    }

    /// Writes the decisions, and commits. Receivers get the event of a job before that of the end of its purge.
    pub(super) async fn write(
        mut self,
        store: &Store,
        carried: Carried,
        gone_late: Vec<OfPurge>,
    ) -> Result<(), StoreError> {
        let settled = carried.settled(&self, self.is_over)?;
        if let Some(first) = settled.first().map(|event| event.purge) {
            self.patch.lock_purges(&mut self.tx, first).await?;
            write_for_purges(store, &mut self.tx, Actor::ENGINE, settled).await?;
        }
        self.patch.write(store, &mut self.tx).await?;
        // The purges' rows are locked by now, in their order.
        write_for_purges(store, &mut self.tx, Actor::ENGINE, gone_late).await?;
        self.tx.commit().await
    }

    /// All conversations of the job.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        parts::places(&self.parts)
    }

    /// The conversations of the job with this outcome.
    pub(super) fn places_with(&self, outcome: Outcome) -> Vec<(Place, Uuid)> {
        let is_so = |place: Place| self.patch.cell(place).is_some_and(|cell| cell.outcome == outcome);
        parts::with_ids(&self.parts, &self.patch).into_iter().filter(|(place, _)| is_so(*place)).collect()
    }

    /// It got an answer in this round, and stays in the job.
    pub(super) fn is_looked(&self, place: Place) -> bool {
        self.parts.get(&place.slice).is_some_and(|part| part.looked.contains(&place.position))
    }

    /// Reads the answer for one conversation; `None` if it got none.
    pub(super) fn sight(
        &mut self,
        tally: &mut Tally,
        place: Place,
        id: Uuid,
    ) -> Result<Option<Sight>, StoreError> {
        let Some(cell) = self.patch.cell(place) else { return Ok(None) };
        if !self.answers.told.contains(&id) {
            tally.untold += 1;
            return Ok(None);
        }
        let gap = signed(self.terms.absence_gap);
        let absent_at = self.patch.slice(place.slice).and_then(|slice| slice.absent_at);
        let is_old_enough = absent_at.is_some_and(|at| self.look.asked_at.duration_since(at) >= gap);
        let facts = self.answers.facts.get(&id);
        if facts.is_some_and(|facts| facts.presence == Presence::Held) {
            // Whatever the result: facts of other purges from before no longer count.
            self.patch.note_kept(place)?;
        }
        let sight = sight(facts, cell.marks, is_old_enough);
        match sight {
            Sight::Gone => tally.gone += 1,
            Sight::Present => {
                tally.present += 1;
                self.patch.mark(place, Marks::NONE, Marks::ABSENT)?;
            }
            Sight::AbsentOnce => {
                tally.absent_once += 1;
                if !cell.marks.has(Marks::ABSENT) {
                    self.patch.mark(place, Marks::ABSENT, Marks::NONE)?;
                    if let Some(slice) = self.patch.slice_mut(place.slice) {
                        slice.absent_at = Some(self.now);
                    }
                }
            }
        }
        Ok(Some(sight))
    }

    /// How long after the job's end the look was asked.
    pub(super) fn since_end(&self) -> Duration {
        let since = self.job.ended_at.map(|ended| self.look.asked_at.duration_since(ended));
        since.and_then(|since| Duration::try_from(since).ok()).unwrap_or_default()
    }

    /// `job_deadline` lies between that moment and the look.
    pub(super) fn is_past_deadline(&self, since: Option<Timestamp>) -> bool {
        let deadline = signed(self.terms.job_deadline);
        since.is_some_and(|since| self.look.asked_at.duration_since(since) > deadline)
    }

    /// The next look may get the missing answers. A refusal or wait of the whole org, and a look with at least some
    /// answers, do not count as failures.
    pub(super) fn is_patient(&self) -> bool {
        let made_progress = !self.answers.told.is_empty();
        match &self.unanswered {
            None => true,
            Some(unanswered) => unanswered.is_held_up || made_progress || self.look.blind + 1 < BLIND_LOOKS,
        }
    }

    /// Ends open conversations without an answer: none can be expected any more.
    pub(super) fn fail_untold(&mut self, reason: &Reason) -> Result<(), StoreError> {
        for (place, id) in self.places_with(Outcome::Submitted) {
            if !self.answers.told.contains(&id) {
                self.patch.decide(place, Outcome::Submitted, Outcome::Failed, reason.clone())?;
            }
        }
        Ok(())
    }

    /// Releases the ids that are no longer part of the job.
    pub(super) async fn let_go(&mut self, leaving: &[(Place, Uuid)]) -> Result<(), StoreError> {
        self.ask_retried_afresh(leaving)?;
        let Self { tx, patch, parts, org, job, .. } = self;
        reserve::release(tx, patch, org, job.id, parts, leaving).await
    }

    /// What a retry took up while upstream might still delete it was judged by facts from before the job's end, or is being
    /// asked about since then: it is asked about afresh. What this very look has judged is as fresh as can be.
    fn ask_retried_afresh(&mut self, leaving: &[(Place, Uuid)]) -> Result<(), StoreError> {
        for (place, _) in leaving {
            match self.patch.cell(*place).map(|cell| cell.outcome) {
                Some(Outcome::Eligible) if !self.patch.has_decided(*place) => {
                    self.patch.decide(*place, Outcome::Eligible, Outcome::Pending, codes::FACTS_STALE)?;
                }
                Some(Outcome::Pending) => self.patch.revoke_question(place.slice, self.now),
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// The result of every id is known, or can't be found out: all are released, and the job is done.
    pub(super) async fn done(&mut self) -> Result<(), StoreError> {
        if let Some(wait) = self.wait_for_left_out().await? {
            return self.look_again(wait, false).await;
        }
        let kept = reserve::kept_by(&mut self.tx, self.job.id).await?;
        let mut leaving = parts::with_ids(&self.parts, &self.patch);
        leaving.retain(|(_, id)| kept.contains(id));
        self.let_go(&leaving).await?;
        self.conclude().await
    }

    /// Of slices that are left out nobody sees what became of their ids: nobody else gets these before deletions most likely
    /// show. Tells how long that is yet.
    async fn wait_for_left_out(&mut self) -> Result<Option<Duration>, StoreError> {
        if self.left_out() == 0 {
            return Ok(None);
        }
        let lag = pace::observed(&mut self.tx, self.org).await?.lag.unwrap_or(self.terms.verify_timeout);
        let since = self.job.ended_at.or(self.job.overdue_since).or(self.job.lost_since);
        let passed =
            since.and_then(|since| Duration::try_from(self.look.asked_at.duration_since(since)).ok());
        let wait = lag.max(self.terms.resubmit_after).saturating_sub(passed.unwrap_or_default());
        Ok(Some(wait).filter(|wait| !wait.is_zero()))
    }

    /// How many conversations of slices that are left out the job carries.
    fn left_out(&self) -> usize {
        let is_left_out = |key: &SliceKey| self.patch.ids_left_out(*key).is_some();
        self.parts.iter().filter(|(key, _)| is_left_out(key)).map(|(_, part)| part.positions.len()).sum()
    }

    /// The job has let everything go: it is over.
    pub(super) async fn conclude(&mut self) -> Result<(), StoreError> {
        let result = match self.job.upstream_succeeded {
            _ if self.job.overdue_since.is_some() => JobResult::TimedOut,
            Some(true) => JobResult::Completed,
            Some(false) => JobResult::Failed,
            // Its submit had no answer, or upstream did not know it any more.
            None => JobResult::Lost,
        };
        let error = self.unanswered.as_ref().and_then(|unanswered| unanswered.error.as_ref());
        ending::finish(&mut self.tx, self.job.id, result, error).await?;
        self.is_over = true;
        Ok(())
    }

    /// Looks again after `wait`, or when what stood in the way of this look is over.
    pub(super) async fn look_again(&mut self, wait: Duration, has_moved: bool) -> Result<(), StoreError> {
        let made_progress = !self.answers.told.is_empty();
        let (wait, error, is_blind) = match &self.unanswered {
            Some(unanswered) => {
                let is_blind = !made_progress && !unanswered.is_held_up;
                (unanswered.again, unanswered.error.clone(), is_blind)
            }
            None => (wait, None, false),
        };
        let took = self.job.ended_at.zip(self.job.submitted_at);
        let wait = match took.filter(|_| self.job.is_piece) {
            Some((ended, submitted)) => {
                gathered(self.now, wait, ended.duration_since(submitted).unsigned_abs())
            }
            None => wait,
        };
        let open = self.places_with(Outcome::Submitted).len() + self.left_out();
        sqlx::query!(
            "-- look_again
            update jobs
            set run_at = $2::timestamptz + make_interval(secs => $3), lease_until = null,
                tries = case when $7 then 0 else least(tries + 1, 1000) end,
                blind = case when $5 then least(blind + 1, 1000) when $8 then 0 else blind end,
                last_error = coalesce($4, last_error), open = $6
            where id = $1",
            self.job.id,
            self.now.to_sqlx() as _,
            wait.as_secs_f64(),
            error as Option<Value>,
            is_blind,
            i32::try_from(open).unwrap_or(i32::MAX),
            has_moved,
            made_progress
        )
        .exactly(&mut self.tx, 1)
        .await
    }
}

pub(super) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
