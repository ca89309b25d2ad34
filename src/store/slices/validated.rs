//! Records what a details call told of the slices that it asked about.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::claim::{Asked, Question};
use super::patch::{Draft, Patch};
use super::{Place, SliceKey};
use crate::domain::clocks::{self, Skew};
use crate::domain::eligibility::{Evidence, Verdict, judge};
use crate::domain::facts::Facts;
use crate::domain::outcome::{Marks, Outcome};
use crate::domain::reason::{Reason, Step};
use crate::store::holds::protect;
use crate::store::{Store, StoreError};

/// Whole answers to one question, or to a part of it.
#[derive(Debug, Default)]
pub struct Answers {
    /// What was told, by id; ids that whole answers left out are missing.
    pub facts: HashMap<Uuid, Facts>,
    /// Ids that upstream refuses to be asked about, each alone, and why.
    pub refused: HashMap<Uuid, Reason>,
    /// Ids that could not be asked about in time: their absence from `facts` says nothing.
    pub unasked: HashSet<Uuid>,
    /// Upstream's clock.
    pub upstream_time: Option<Timestamp>,
}

impl Store {
    /// Judges the answers and records the verdicts; slices whose lease was lost stay as they are.
    pub async fn record_answers(
        &self,
        org: &str,
        question: &Question,
        answers: &Answers,
        own_time: Timestamp,
        absence_gap: Duration,
    ) -> Result<Result<(), Skew>, StoreError> {
        let mut tx = self.begin("record_answers").await?;
        let keys = question.slices.iter().map(|asked| asked.slice).collect();
        let mut patch = Patch::lock(&mut tx, Step::Validate, None, keys).await?;
        let database_time = tx.now().await?;
        let now = match clocks::earliest(database_time, own_time, answers.upstream_time) {
            Ok(now) => now,
            Err(skew) => return Ok(Err(skew)),
        };
        let held = protect::held_among(&mut tx, org, &question.ids()).await?;
        let gap = SignedDuration::try_from(absence_gap).unwrap_or(SignedDuration::MAX);
        let round = Round { question, answers, held: &held, now, database_time, gap };
        for asked in &question.slices {
            round.judge_slice(&mut patch, asked)?;
        }
        patch.write(self, &mut tx).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Gives the slices back unanswered, to be asked again after `wait`.
    pub async fn ask_again(&self, question: &Question, wait: Duration) -> Result<(), StoreError> {
        let mut tx = self.begin("ask_again").await?;
        let keys = question.slices.iter().map(|asked| asked.slice).collect();
        let mut patch = Patch::lock(&mut tx, Step::Validate, None, keys).await?;
        let run_at = tx.now().await? + SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_mins(1));
        for asked in &question.slices {
            if let Some(slice) = leased(&mut patch, asked) {
                slice.is_released = true;
                slice.tries = slice.tries.saturating_add(1);
                slice.run_at = Some(run_at);
            }
        }
        patch.write(self, &mut tx).await?;
        tx.commit().await
    }
}

/// The slice, if it is still leased to the one who asked.
fn leased<'a>(patch: &'a mut Patch, asked: &Asked) -> Option<&'a mut Draft> {
    if patch.slice(asked.slice)?.epoch != asked.epoch {
        return None;
    }
    patch.slice_mut(asked.slice)
}

struct Round<'a> {
    question: &'a Question,
    answers: &'a Answers,
    held: &'a HashSet<Uuid>,
    now: Timestamp,
    database_time: Timestamp,
    gap: SignedDuration,
}

impl Round<'_> {
    fn judge_slice(&self, patch: &mut Patch, asked: &Asked) -> Result<(), StoreError> {
        let Some(slice) = leased(patch, asked) else { return Ok(()) };
        let had_eligible = slice.cells.iter().any(|cell| cell.outcome == Outcome::Eligible);
        let is_absence_old_enough =
            slice.absent_at.is_some_and(|absent| self.question.asked_at.duration_since(absent) >= self.gap);
        let mut is_absent = false;
        for &(position, id) in &asked.conversations {
            let place = Place { slice: asked.slice, position };
            let Some(cell) = patch.cell(place) else { continue };
            if cell.outcome != Outcome::Pending || self.answers.unasked.contains(&id) {
                continue;
            }
            if let Some(reason) = self.answers.refused.get(&id) {
                patch.decide(place, Outcome::Pending, Outcome::Failed, reason.clone())?;
                continue;
            }
            let evidence = Evidence {
                facts: self.answers.facts.get(&id),
                cell,
                is_absence_old_enough,
                is_held: self.held.contains(&id),
            };
            match judge(evidence, &self.question.policy, self.now) {
                Verdict::Decided(Outcome::Eligible, reason) if asked.is_dry_run => {
                    patch.decide(place, Outcome::Pending, Outcome::WouldPurge, reason)?;
                }
                Verdict::Decided(outcome, reason) => {
                    patch.decide(place, Outcome::Pending, outcome, reason)?;
                }
                Verdict::AbsentOnce => {
                    is_absent |= !cell.marks.has(Marks::ABSENT);
                    patch.mark(place, Marks::ABSENT, Marks::NONE)?;
                }
            }
        }
        self.stamp(patch, asked.slice, had_eligible, is_absent);
        Ok(())
    }

    /// The facts of a slice are as old as the oldest among its eligible conversations.
    fn stamp(&self, patch: &mut Patch, key: SliceKey, had_eligible: bool, is_absent: bool) {
        let Some(slice) = patch.slice_mut(key) else { return };
        let (asked_at, epoch) = (self.question.asked_at, self.question.policy_epoch);
        let oldest = slice.facts_at.filter(|_| had_eligible);
        slice.facts_at = Some(oldest.map_or(asked_at, |facts_at| facts_at.min(asked_at)));
        let oldest = slice.facts_epoch.filter(|_| had_eligible);
        slice.facts_epoch = Some(oldest.map_or(epoch, |facts_epoch| facts_epoch.min(epoch)));
        if is_absent {
            slice.absent_at = Some(self.database_time);
        }
        slice.is_released = true;
        slice.tries = 0;
        slice.run_at = Some(slice.absent_at.map_or(self.database_time, |absent| absent + self.gap));
    }
}
