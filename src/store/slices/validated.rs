//! Records the result of a details query for its slices.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::claim::{Asked, Question};
use super::patch::{Draft, Patch};
use super::{Place, SliceKey};
use crate::crash;
use crate::domain::backoff;
use crate::domain::clocks::{self, Skew};
use crate::domain::eligibility::{Evidence, Since, Verdict, judge};
use crate::domain::facts::{Facts, Presence};
use crate::domain::outcome::{Cell, Marks, Outcome};
use crate::domain::reason::{Reason, Step, codes};
use crate::domain::sight::CONTROLS;
use crate::domain::terms::EngineTerms;
use crate::store::findings;
use crate::store::holds::protect;
use crate::store::orgs::controls;
use crate::store::{Store, StoreError};

/// Whole answers to one question, or to a part of it.
#[derive(Debug, Default)]
pub struct Answers {
    /// The facts by id; ids that complete answers left out are missing.
    pub facts: HashMap<Uuid, Facts>,
    /// Ids that upstream refuses in a query even alone, and why.
    pub refused: HashMap<Uuid, Reason>,
    /// The ids that complete answers were about: nothing is known about any other.
    pub told: HashSet<Uuid>,
    /// The ids of calls that had no answer, though they were asked again. The rest was not asked.
    pub failed: HashSet<Uuid>,
    /// Those among them that were alone in their call.
    pub alone: HashSet<Uuid>,
    pub upstream_time: Option<Timestamp>,
}

impl Answers {
    /// The answers about these ids only.
    #[must_use]
    pub fn about(&self, ids: &[Uuid]) -> Self {
        let those = |told: &HashSet<Uuid>| ids.iter().filter(|id| told.contains(*id)).copied().collect();
        let facts = ids.iter().filter_map(|id| Some((*id, self.facts.get(id)?.clone())));
        let refused = ids.iter().filter_map(|id| Some((*id, self.refused.get(id)?.clone())));
        Self {
            facts: facts.collect(),
            refused: refused.collect(),
            told: those(&self.told),
            failed: those(&self.failed),
            alone: those(&self.alone),
            upstream_time: self.upstream_time,
        }
    }

    /// Each of these ids got an answer, or is permanently refused.
    pub fn are_whole_for(&self, ids: &[Uuid]) -> bool {
        ids.iter().all(|id| self.told.contains(id) || self.refused.contains_key(id))
    }

    /// The ids that whole answers left out.
    pub fn left_out(&self) -> Vec<Uuid> {
        self.told.iter().filter(|id| !self.facts.contains_key(*id)).copied().collect()
    }
}

/// How the unfinished rest is queried again; ids without an answer wait separately.
#[derive(Debug, Clone, Copy)]
pub struct Again {
    pub wait: Duration,
    /// The question came nowhere: the next one is cut smaller.
    pub is_fruitless: bool,
}

impl Store {
    /// Judges the answers and records the verdicts; slices whose lease was lost stay as they are. What was not asked is
    /// asked again after `again`. An id that has had no answer for `job_deadline`, though it was alone, has failed.
    pub async fn record_answers(
        &self,
        org: &str,
        question: &Question,
        answers: &Answers,
        own_time: Timestamp,
        terms: &EngineTerms,
        again: Again,
    ) -> Result<Result<(), Skew>, StoreError> {
        self.retried(|| self.try_record_answers(org, question, answers, own_time, terms, again)).await
    }

    async fn try_record_answers(
        &self,
        org: &str,
        question: &Question,
        answers: &Answers,
        own_time: Timestamp,
        terms: &EngineTerms,
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
            gap: signed(terms.absence_gap),
            patience: SignedDuration::try_from(terms.job_deadline).unwrap_or(SignedDuration::MAX),
            again: signed(again.wait),
            is_fruitless: again.is_fruitless,
        };
        round.carried_now = findings::carried_now_among(&mut tx, org, &round.kept(&patch)).await?;
        // After what is carried was read: what was let go before that is among the findings by now.
        round.since = findings::since(&mut tx, org, &question.ids(), question.asked_at).await?;
        for asked in &question.slices {
            round.judge_slice(&mut patch, asked)?;
        }
        let seen = round.controls(&patch);
        crash::over("record_answers", question.ids());
        patch.write(self, &mut tx).await?;
        if !seen.is_empty() {
            controls::offer(&mut tx, org, &seen).await?;
        }
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

/// How a question went for one slice.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
struct Went {
    /// Some of it got an answer, or was refused for itself.
    is_told: bool,
    is_absent: bool,
    /// The answer can't be recorded yet: a job of another purge may delete it.
    is_carried: bool,
    /// Something was not queried: no permit, no time, or upstream does not answer.
    is_held_up: bool,
    /// A call with several ids had no answer.
    has_failed: bool,
    has_failed_alone: bool,
}

impl Went {
    /// The next question need not wait longer than the first.
    const fn has_progress(self) -> bool {
        let is_whole = !self.has_failed && !self.has_failed_alone && !self.is_held_up;
        (self.is_told || is_whole) && !self.is_carried
    }

    /// How often in a row questions about it have failed for themselves. What the others were told of stops the row; what
    /// stands alone needs none.
    fn fruitless_after(self, before: i16, is_fruitless: bool) -> i16 {
        match self {
            Self { has_failed: true, is_told: true, .. } => before,
            Self { has_failed: true, .. } => before.saturating_add(1).min(1000),
            Self { is_held_up: true, is_told: false, .. } if is_fruitless => {
                before.saturating_add(1).min(1000)
            }
            Self { is_held_up: true, is_told: false, .. } => before,
            _ => 0,
        }
    }
}

/// Something of the slice needs facts that the question was not about, and no answer has left out yet.
fn has_rest(patch: &Patch, asked: &Asked) -> bool {
    let is_asked =
        |position| asked.conversations.binary_search_by_key(&position, |(asked, _)| *asked).is_ok();
    let is_rest = |(position, cell): (usize, &Cell)| {
        cell.outcome == Outcome::Pending
            && !cell.marks.has(Marks::ABSENT)
            && !is_asked(position)
            && !asked.silent.contains(&position)
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
    /// Findings of other purges since the query was sent.
    since: HashMap<Uuid, Since>,
    now: Timestamp,
    database_time: Timestamp,
    gap: SignedDuration,
    /// How long an id that is queried alone may get no answer.
    patience: SignedDuration,
    again: SignedDuration,
    is_fruitless: bool,
}

impl Round<'_> {
    /// Conversations that the answers alone would have kept.
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

    /// What the answer shows that stays: as many as can be of use as controls.
    fn controls(&self, patch: &Patch) -> Vec<Uuid> {
        let mut seen = Vec::new();
        patch.for_each_decision(|place, _, to, _| {
            let id = patch.slice(place.slice).and_then(|slice| slice.ids.get(place.position));
            let is_there =
                |id: &Uuid| self.answers.facts.get(id).is_some_and(|facts| facts.presence != Presence::Gone);
            // An id may be in several slices of the query.
            if to.keeps() && seen.len() < CONTROLS {
                seen.extend(id.filter(|id| is_there(id) && !seen.contains(*id)));
            }
        });
        seen
    }

    fn is_outdated(&self, id: Uuid, outcome: Outcome) -> bool {
        self.since.get(&id).is_some_and(|since| since.outdates(outcome))
    }

    fn judge_slice(&self, patch: &mut Patch, asked: &Asked) -> Result<(), StoreError> {
        let Some(slice) = leased(patch, asked) else { return Ok(()) };
        let had_drawable = slice.cells.iter().any(|cell| cell.is_drawable());
        let is_absence_old_enough = self.is_absence_old_enough(slice);
        let mut went = Went::default();
        for &(position, id) in &asked.conversations {
            let place = Place { slice: asked.slice, position };
            let Some(cell) = patch.cell(place) else { continue };
            if cell.outcome != Outcome::Pending {
                continue;
            }
            if let Some(reason) = self.answers.refused.get(&id) {
                went.is_told = true;
                patch.decide(place, Outcome::Pending, Outcome::Failed, reason.clone())?;
                continue;
            }
            if !self.answers.told.contains(&id) {
                self.note_untold(patch, place, id, &mut went)?;
                continue;
            }
            went.is_told = true;
            if let Some(slice) = patch.slice_mut(asked.slice) {
                slice.silent.remove(&position);
            }
            match self.verdict(id, cell, is_absence_old_enough) {
                // It stays pending, and is asked about once more.
                Verdict::Decided(outcome, _) if self.is_outdated(id, outcome) => {}
                Verdict::Decided(Outcome::Eligible, reason) if asked.is_dry_run => {
                    patch.decide(place, Outcome::Pending, Outcome::WouldPurge, reason)?;
                }
                // Nothing is called kept that a job may delete yet: of this purge, which was given up and has it asked
                // about afresh when it is over, or of another one, which hears of it before its next intent.
                Verdict::Decided(outcome, _)
                    if !asked.is_dry_run && outcome.keeps() && self.carried_now.contains(&id) =>
                {
                    patch.note_kept(place)?;
                    if cell.marks.has(Marks::RESERVED) {
                        patch.decide(place, Outcome::Pending, Outcome::Eligible, codes::STILL_CARRIED)?;
                    } else {
                        went.is_carried = true;
                    }
                }
                Verdict::Decided(outcome, reason) => {
                    patch.decide(place, Outcome::Pending, outcome, reason)?;
                }
                Verdict::AbsentOnce => {
                    went.is_absent |= !cell.marks.has(Marks::ABSENT);
                    patch.mark(place, Marks::ABSENT, Marks::NONE)?;
                }
            }
        }
        self.stamp(patch, asked.slice, had_drawable, went.is_absent);
        let has_rest = has_rest(patch, asked);
        let Some(slice) = patch.slice_mut(asked.slice) else { return Ok(()) };
        slice.tries = if went.has_progress() { 0 } else { asked.tries.saturating_add(1).min(1000) };
        slice.fruitless = went.fruitless_after(asked.fruitless, self.is_fruitless);
        slice.run_at = self.next_question(slice, asked, went, has_rest);
        Ok(())
    }

    /// It has no answer: it was not asked, or its call failed. Alone and without an answer for long it ends.
    fn note_untold(
        &self,
        patch: &mut Patch,
        place: Place,
        id: Uuid,
        went: &mut Went,
    ) -> Result<(), StoreError> {
        if !self.answers.failed.contains(&id) {
            went.is_held_up = true;
            return Ok(());
        }
        if !self.answers.alone.contains(&id) {
            went.has_failed = true;
            return Ok(());
        }
        went.has_failed_alone = true;
        let Some(slice) = patch.slice_mut(place.slice) else { return Ok(()) };
        let since = *slice.silent.entry(place.position).or_insert(self.database_time);
        if self.database_time.duration_since(since) >= self.patience {
            patch.decide(place, Outcome::Pending, Outcome::Failed, codes::UNVERIFIED)?;
        }
        Ok(())
    }

    /// When the slice is due again; `None` where it keeps its place in the line, since the question took a part of it.
    fn next_question(&self, slice: &Draft, asked: &Asked, went: Went, has_rest: bool) -> Option<Timestamp> {
        let after =
            |wait: Duration| self.database_time + SignedDuration::try_from(wait).unwrap_or(self.again);
        let tries = u32::try_from(asked.tries).unwrap_or_default();
        let has_failed = went.has_failed || went.has_failed_alone;
        if !went.is_told && (has_failed || went.is_held_up) {
            let failed = has_failed.then(|| after(backoff::step(tries, 1.0)));
            let held_up = went.is_held_up.then(|| self.database_time + self.again);
            return failed.max(held_up);
        }
        if has_rest {
            return None;
        }
        let ahead = [
            has_failed.then(|| after(backoff::step(0, 1.0))),
            went.is_held_up.then(|| self.database_time + self.again),
            went.is_carried.then(|| after(backoff::carried(tries))),
        ];
        ahead.into_iter().flatten().min().or(slice.run_at)
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
    }
}
