//! Details queries before a submit: which ids, and how many queries per turn.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::{Dispatcher, Round, turns};
use crate::domain::ahead::{Stock, wants_facts};
use crate::engine::give_back::Held;
use crate::engine::kind::Kind;
use crate::store::StoreError;
use crate::store::slices::claim::{Claim, Reach};
use crate::store::views::survey::Survey;

impl Dispatcher {
    /// An idle dispatcher is usually woken by an accepted purge, so it queries that before the survey. The claim
    /// itself checks whether a query is allowed; no login is made for work that may not exist.
    pub(super) async fn greet(&mut self) -> Result<(), StoreError> {
        let has_token = self.org.upstream.token_life().is_some_and(|life| !life.expires_in.is_zero());
        if self.org.engine.paused || !has_token || self.not_ready(Kind::Validate).await?.is_some() {
            return Ok(());
        }
        let Some(worker) = self.worker_for_question() else { return Ok(()) };
        self.ask_once(Reach::FirstAndDryRuns, false, worker).await.map(drop)
    }

    /// Asks for facts: for new purges and dry runs always, for others just far enough ahead of the slots.
    pub(super) async fn launch_validations(&mut self, survey: &Survey) -> Result<Round, StoreError> {
        let is_due = |at: Option<jiff::Timestamp>| at.is_some_and(|at| at <= survey.now);
        let is_shut = survey.shut_until.is_some() && survey.are_facts_blocked;
        if is_shut || !is_due(survey.slice_at) {
            return Ok(Round::default());
        }
        let mut stock = Stock {
            free_slots: self.org.terms.slots.saturating_sub(survey.slots_taken),
            freeing_slots: survey.freeing,
            drawable: survey.drawable,
            asking: survey.asking,
            max_batch: self.org.terms.max_batch,
        };
        let (are_slots_due, is_first_due) = (is_due(survey.for_slots_at), is_due(survey.first_slice_at));
        let mut round = Round::default();
        for reach in self.turns.reaches() {
            match reach {
                // Facts for free slots.
                Reach::ForSlots => {
                    let wanted =
                        |stock: &Stock| are_slots_due && wants_facts(&Stock { freeing_slots: 0, ..*stock });
                    self.ask_for(survey, &mut stock, reach, wanted, &mut round).await?;
                }
                Reach::FirstAndDryRuns => {
                    self.ask_for(survey, &mut stock, reach, |_| is_first_due, &mut round).await?;
                }
            }
        }
        // Last, queries ahead of the slots.
        let wanted = |stock: &Stock| are_slots_due && (survey.are_facts_blocked || wants_facts(stock));
        self.ask_for(survey, &mut stock, Reach::ForSlots, wanted, &mut round).await?;
        Ok(round)
    }

    /// Queries as long as more facts are needed and ids are waiting, up to the limit of the turn; a blocked org gets
    /// one query.
    async fn ask_for(
        &mut self,
        survey: &Survey,
        stock: &mut Stock,
        reach: Reach,
        is_wanted: impl Fn(&Stock) -> bool,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        let questions = if survey.are_facts_blocked { 1 } else { turns::QUESTIONS };
        while round.calls < questions && is_wanted(stock) {
            let Some(worker) = self.worker_for_question() else { break };
            if round.is_put_off(self.not_ready(Kind::Validate).await?) {
                break;
            }
            let (asked, has_moved) = self.ask_once(reach, survey.are_facts_blocked, worker).await?;
            round.has_moved |= has_moved;
            if asked == 0 {
                break;
            }
            round.calls += 1;
            stock.asking += asked;
        }
        Ok(())
    }

    /// Claims one query and launches it; returns its number of ids, and whether more may be due at once.
    async fn ask_once(
        &mut self,
        reach: Reach,
        is_probe: bool,
        worker: OwnedSemaphorePermit,
    ) -> Result<(usize, bool), StoreError> {
        let lease = self.org.engine.lease;
        let claim = self.org.store.claim_slices(&self.org.terms, reach, lease, is_probe).await?;
        let has_moved = claim.has_moved();
        let Claim::Claimed(question, permit) = claim else { return Ok((0, has_moved)) };
        self.turns.note_question(reach);
        let asked = question.ids().len();
        let (org, held) = (Arc::clone(&self.org), Held::slices(&question));
        self.spawn(worker, "validate", held, async move { org.validate(&question, permit).await });
        Ok((asked, has_moved))
    }

    /// A free worker, if those reserved for jobs stay free.
    fn worker_for_question(&self) -> Option<OwnedSemaphorePermit> {
        let is_spare = self.crew.workers.available_permits() > self.crew.reserved;
        self.worker().filter(|_| is_spare)
    }
}
