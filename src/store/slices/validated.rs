//! Records what a details call told of the slices that it asked about.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::claim::{Asked, Question};
use super::patch::{Draft, Patch};
use super::{Place, SliceKey};
use crate::domain::backoff;
use crate::domain::clocks::{self, Skew};
use crate::domain::eligibility::{Evidence, Since, Verdict, judge};
use crate::domain::facts::Facts;
use crate::domain::outcome::{Cell, Marks, Outcome};
use crate::domain::reason::{Reason, Step, codes};
use crate::store::findings;
use crate::store::holds::protect;
use crate::store::{Store, StoreError};

/// Whole answers to one question, or to a part of it.
#[derive(Debug, Default)]
pub struct Answers {
    /// What was told, by id; ids that whole answers left out are missing.
    pub facts: HashMap<Uuid, Facts>,
    /// Ids that upstream refuses to be asked about, each alone, and why.
    pub refused: HashMap<Uuid, Reason>,
    /// The ids that whole answers were asked for: nothing can be said of any other.
    pub told: HashSet<Uuid>,
    pub upstream_time: Option<Timestamp>,
}

impl Answers {
    /// The ids that whole answers left out.
    pub(in crate::store) fn left_out(&self) -> Vec<Uuid> {
        self.told.iter().filter(|id| !self.facts.contains_key(*id)).copied().collect()
    }
}

/// How what was not told is asked again.
#[derive(Debug, Clone, Copy)]
pub struct Again {
    pub wait: Duration,
    /// The question itself failed: the next one is cut smaller.
    pub is_fruitless: bool,
}

impl Store {
    /// Judges the answers and records the verdicts; slices whose lease was lost stay as they are. What was not told is
    /// asked again after `again`.
    pub async fn record_answers(
        &self,
        org: &str,
        question: &Question,
        answers: &Answers,
        own_time: Timestamp,
        absence_gap: Duration,
        again: Again,
    ) -> Result<Result<(), Skew>, StoreError> {
        let mut tx = self.begin("record_answers").await?;
        let keys = question.slices.iter().map(|asked| asked.slice).collect();
        let mut patch = Patch::lock(&mut tx, Step::Validate, None, keys).await?;
        let database_time = tx.now().await?;
        let (now, skew) = match clocks::earliest(database_time, own_time, answers.upstream_time) {
            Ok(now) => (now, None),
            Err(skew) => (database_time, Some(skew)),
        };
        let nothing = Answers::default();
        // By clocks that disagree nothing is judged; all is asked again.
        let answers = if skew.is_some() { &nothing } else { answers };
        let held = protect::held_among(&mut tx, org, &question.ids()).await?;
        let carried = findings::carried_among(&mut tx, org, &answers.left_out()).await?;
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::from_mins(1));
        let mut round = Round {
            question,
            answers,
            held: &held,
            carried: &carried,
            carried_now: HashSet::new(),
            since: HashMap::new(),
            now,
            database_time,
            gap: signed(absence_gap),
            again: signed(again.wait),
            is_fruitless: again.is_fruitless,
        };
        round.carried_now = findings::carried_now_among(&mut tx, org, &round.kept(&patch)).await?;
        // After what is carried was read: what was let go before that is among the findings by now.
        round.since = findings::since(&mut tx, org, &question.ids(), question.asked_at).await?;
        for asked in &question.slices {
            round.judge_slice(&mut patch, asked)?;
        }
        patch.write(self, &mut tx).await?;
        tx.commit().await?;
        Ok(skew.map_or(Ok(()), Err))
    }
}

/// The slice, if it is still leased to the one who asked.
fn leased<'a>(patch: &'a mut Patch, asked: &Asked) -> Option<&'a mut Draft> {
    if patch.slice(asked.slice)?.epoch != asked.epoch {
        return None;
    }
    patch.slice_mut(asked.slice)
}

/// Something of the slice needs facts that the question was not about, and no answer has left out yet.
fn has_rest(patch: &Patch, asked: &Asked) -> bool {
    let is_asked =
        |position| asked.conversations.binary_search_by_key(&position, |(asked, _)| *asked).is_ok();
    let is_rest = |(position, cell): (usize, &Cell)| {
        cell.outcome == Outcome::Pending && !cell.marks.has(Marks::ABSENT) && !is_asked(position)
    };
    patch.slice(asked.slice).is_some_and(|slice| slice.cells.iter().enumerate().any(is_rest))
}

struct Round<'a> {
    question: &'a Question,
    answers: &'a Answers,
    held: &'a HashSet<Uuid>,
    carried: &'a HashSet<Uuid>,
    /// Those among what would be called kept that a job may delete yet.
    carried_now: HashSet<Uuid>,
    /// What other purges have found out while the answer was on its way.
    since: HashMap<Uuid, Since>,
    now: Timestamp,
    database_time: Timestamp,
    gap: SignedDuration,
    again: SignedDuration,
    is_fruitless: bool,
}

impl Round<'_> {
    /// What the answers alone would have called kept.
    fn kept(&self, patch: &Patch) -> Vec<Uuid> {
        let mut kept = Vec::new();
        for asked in self.question.slices.iter().filter(|asked| !asked.is_dry_run) {
            let Some(slice) = patch.slice(asked.slice) else { continue };
            let is_absence_old_enough = self.is_absence_old_enough(slice);
            for &(position, id) in &asked.conversations {
                let Some(&cell) = slice.cells.get(position) else { continue };
                let verdict = self.verdict(id, cell, is_absence_old_enough);
                if matches!(verdict, Verdict::Decided(outcome, _) if outcome.keeps()) {
                    kept.push(id);
                }
            }
        }
        kept
    }

    fn is_absence_old_enough(&self, slice: &Draft) -> bool {
        slice.absent_at.is_some_and(|absent| self.question.asked_at.duration_since(absent) >= self.gap)
    }

    fn verdict(&self, id: Uuid, cell: Cell, is_absence_old_enough: bool) -> Verdict {
        let evidence = Evidence {
            facts: self.answers.facts.get(&id),
            cell,
            is_absence_old_enough,
            is_held: self.held.contains(&id),
            was_carried_elsewhere: self.carried.contains(&id),
        };
        judge(evidence, &self.question.policy, self.now)
    }

    fn is_outdated(&self, id: Uuid, outcome: Outcome) -> bool {
        self.since.get(&id).is_some_and(|since| since.outdates(outcome))
    }

    fn judge_slice(&self, patch: &mut Patch, asked: &Asked) -> Result<(), StoreError> {
        let Some(slice) = leased(patch, asked) else { return Ok(()) };
        let had_drawable = slice.cells.iter().any(|cell| cell.is_drawable());
        let is_absence_old_enough = self.is_absence_old_enough(slice);
        let (mut is_absent, mut is_partial, mut is_carried, mut is_told) = (false, false, false, false);
        for &(position, id) in &asked.conversations {
            let place = Place { slice: asked.slice, position };
            let Some(cell) = patch.cell(place) else { continue };
            if cell.outcome != Outcome::Pending {
                continue;
            }
            if let Some(reason) = self.answers.refused.get(&id) {
                is_told = true;
                patch.decide(place, Outcome::Pending, Outcome::Failed, reason.clone())?;
                continue;
            }
            if !self.answers.told.contains(&id) {
                is_partial = true;
                continue;
            }
            is_told = true;
            match self.verdict(id, cell, is_absence_old_enough) {
                // It stays pending, and is asked about once more.
                Verdict::Decided(outcome, _) if self.is_outdated(id, outcome) => {}
                Verdict::Decided(Outcome::Eligible, reason) if asked.is_dry_run => {
                    patch.decide(place, Outcome::Pending, Outcome::WouldPurge, reason)?;
                }
                // Nothing is called kept that a job may delete yet: of this purge, which was given up and has it asked
                // about afresh when it is over, or of another one, which does not know of this.
                Verdict::Decided(outcome, _)
                    if !asked.is_dry_run && outcome.keeps() && self.carried_now.contains(&id) =>
                {
                    if cell.marks.has(Marks::RESERVED) {
                        patch.decide(place, Outcome::Pending, Outcome::Eligible, codes::STILL_CARRIED)?;
                    } else {
                        is_carried = true;
                    }
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
        self.stamp(patch, asked.slice, had_drawable, is_absent);
        let has_rest = has_rest(patch, asked);
        let Some(slice) = patch.slice_mut(asked.slice) else { return Ok(()) };
        if has_rest && (is_told || !is_partial) {
            // The question took a part of the slice; the next part keeps its place in the line.
            slice.run_at = None;
        }
        if is_partial || is_carried {
            slice.tries = asked.tries.saturating_add(1).min(1000);
            // What holds up the whole org says nothing about these conversations.
            slice.fruitless =
                asked.fruitless.saturating_add(i16::from(is_partial && self.is_fruitless)).min(1000);
        }
        if (is_partial || is_carried) && slice.run_at.is_some() {
            let carried = backoff::carried(u32::try_from(asked.tries).unwrap_or_default());
            let again =
                if is_partial { self.again } else { SignedDuration::try_from(carried).unwrap_or(self.again) };
            slice.run_at = Some(self.database_time + again);
        }
        Ok(())
    }

    /// The facts of a slice are as old as the oldest among what it has to draw.
    fn stamp(&self, patch: &mut Patch, key: SliceKey, had_drawable: bool, is_absent: bool) {
        let Some(slice) = patch.slice_mut(key) else { return };
        let (asked_at, epoch) = (self.question.asked_at, self.question.policy_epoch);
        let oldest = slice.facts_at.filter(|_| had_drawable);
        slice.facts_at = Some(oldest.map_or(asked_at, |facts_at| facts_at.min(asked_at)));
        let oldest = slice.facts_epoch.filter(|_| had_drawable);
        slice.facts_epoch = Some(oldest.map_or(epoch, |facts_epoch| facts_epoch.min(epoch)));
        if is_absent {
            slice.absent_at = Some(self.database_time);
        }
        slice.is_released = true;
        slice.run_at = Some(slice.absent_at.map_or(self.database_time, |absent| absent + self.gap));
        (slice.tries, slice.fruitless) = (0, 0);
    }
}
