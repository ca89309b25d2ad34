//! What a round of looking means for each conversation of a job.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::claim::Look;
use super::parts::{self, Parts};
use super::settle::Settlement;
use crate::domain::facts::Presence;
use crate::domain::outcome::{Marks, Outcome};
use crate::domain::reason::{Reason, codes};
use crate::domain::terms::EngineTerms;
use crate::domain::verdict::{Leftover, Remedy, Sight, remedy, sight};
use crate::store::StoreError;
use crate::store::slices::validated::Answers;
use crate::store::slices::{Place, SliceKey};
use crate::store::tx::{Rows as _, Tx};

/// How many conversations a round saw how.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) gone: usize,
    pub(super) absent_once: usize,
    pub(super) present: usize,
    /// Still there, and to be looked at again.
    pub(super) later: usize,
    /// Upstream would not tell, or was not asked.
    pub(super) untold: usize,
    /// The question did not come that far.
    pub(super) unasked: usize,
}

impl Tally {
    /// So many are open still.
    pub(super) fn open(&self) -> usize {
        self.absent_once + self.later + self.untold + self.unasked
    }
}

/// What a look at a job that was given up came to.
#[derive(Debug, Default)]
pub(super) struct Late {
    pub(super) tally: Tally,
    /// Seen to be gone, by purge.
    pub(super) gone: BTreeMap<Uuid, Vec<Uuid>>,
    /// What the job has nothing to do with any more.
    pub(super) known: Vec<(Place, Uuid)>,
    /// So many are to be looked at again.
    pub(super) open: usize,
}

/// One round of looking.
pub(super) struct Round<'a> {
    look: &'a Look,
    answers: &'a Answers,
    terms: &'a EngineTerms,
    canceling: HashSet<Uuid>,
    attempts: HashMap<Place, u32>,
}

impl<'a> Round<'a> {
    pub(super) async fn new(
        tx: &mut Tx,
        look: &'a Look,
        answers: &'a Answers,
        terms: &'a EngineTerms,
        settlement: &Settlement,
    ) -> Result<Self, StoreError> {
        let canceling = canceling(tx, &settlement.parts).await?;
        let attempts = attempts(tx, &settlement.parts).await?;
        Ok(Self { look, answers, terms, canceling, attempts })
    }

    /// Deletions of this org have shown by now, as far as was ever observed.
    fn has_lag_passed(&self, settlement: &Settlement, lag: Option<Duration>) -> bool {
        // A job that upstream lost may still be at work.
        let lag = lag.filter(|_| !settlement.job.is_lost()).unwrap_or(self.terms.verify_timeout);
        since_end(self.look, settlement) >= lag
    }

    /// Settles after the end of the upstream job.
    pub(super) fn settle_ended(
        &self,
        settlement: &mut Settlement,
        lag: Option<Duration>,
    ) -> Result<Tally, StoreError> {
        let has_lag_passed = self.has_lag_passed(settlement, lag);
        let is_overdue = settlement.job.overdue_since.is_some();
        let is_blind_too_long = settlement.job.is_blind_too_long(self.look.asked_at, self.terms.job_deadline);
        let mut tally = Tally::default();
        for (place, id) in open_places(settlement) {
            if let Some(reason) = self.answers.refused.get(&id).filter(|_| is_blind_too_long || is_overdue) {
                let reason = Reason { detail: reason.detail.clone(), ..codes::UNVERIFIED };
                settlement.patch.decide(place, Outcome::Submitted, Outcome::Failed, reason)?;
                continue;
            }
            let gone = if self.answers.facts.contains_key(&id) { codes::GONE } else { codes::ABSENT_TWICE };
            match self.sight(settlement, &mut tally, place, id)? {
                Some(Sight::Gone) => {
                    settlement.patch.decide(place, Outcome::Submitted, Outcome::Purged, gone)?;
                }
                Some(Sight::Present) => {
                    let leftover = Leftover {
                        has_lag_passed,
                        is_overdue,
                        attempts: self.attempts.get(&place).copied().unwrap_or_default() + 1,
                        max_attempts: self.terms.max_attempts,
                        is_canceling: self.canceling.contains(&place.slice.purge),
                    };
                    let is_held =
                        self.answers.facts.get(&id).is_some_and(|facts| facts.presence == Presence::Held);
                    match remedy(leftover) {
                        // What this look itself saw protected does not go again.
                        Remedy::Decided(Outcome::Eligible, _) if is_held => {
                            let reason = codes::UPSTREAM_HOLD;
                            settlement.patch.decide(place, Outcome::Submitted, Outcome::OnHold, reason)?;
                        }
                        Remedy::LookAgain => tally.later += 1,
                        Remedy::Decided(outcome, reason) => {
                            settlement.patch.decide(place, Outcome::Submitted, outcome, reason)?;
                        }
                    }
                }
                Some(Sight::AbsentOnce) | None => {}
            }
        }
        Ok(tally)
    }

    /// Settles what is gone after a lost submit; what is still there waits for the decision about the whole job.
    pub(super) fn settle_lost(&self, settlement: &mut Settlement) -> Result<Tally, StoreError> {
        let mut tally = Tally::default();
        for (place, id) in open_places(settlement) {
            // The others of the job can't wait for an id that upstream will not tell of, and it must not go again.
            if let Some(reason) = self.answers.refused.get(&id) {
                let reason = Reason { detail: reason.detail.clone(), ..codes::SUBMIT_UNKNOWN };
                settlement.patch.decide(place, Outcome::Submitted, Outcome::Failed, reason)?;
                continue;
            }
            if self.sight(settlement, &mut tally, place, id)? == Some(Sight::Gone) {
                let reason = codes::GONE_AFTER_LOST_SUBMIT;
                settlement.patch.decide(place, Outcome::Submitted, Outcome::Purged, reason)?;
            }
        }
        Ok(tally)
    }

    /// Looks after what the job has not let go yet, after the end of a job that was given up.
    pub(super) fn settle_late(
        &self,
        settlement: &mut Settlement,
        lag: Option<Duration>,
        kept: &HashSet<Uuid>,
    ) -> Result<Late, StoreError> {
        let has_lag_passed = self.has_lag_passed(settlement, lag);
        let is_blind_too_long = settlement.job.is_blind_too_long(self.look.asked_at, self.terms.job_deadline);
        let mut late = Late::default();
        let carried = parts::with_ids(&settlement.parts, &settlement.patch);
        for (place, id) in carried.into_iter().filter(|(_, id)| kept.contains(id)) {
            let Some(cell) = settlement.patch.cell(place) else { continue };
            let has_ended = cell.outcome.is_final();
            let is_known = if has_ended && !cell.outcome.ended_otherwise() {
                true
            } else {
                match self.sight(settlement, &mut late.tally, place, id)? {
                    Some(Sight::Gone) => {
                        if has_ended {
                            settlement.patch.note_gone(place, codes::GONE_LATE)?;
                            late.gone.entry(place.slice.purge).or_default().push(id);
                        }
                        true
                    }
                    Some(Sight::Present) => has_lag_passed,
                    // What a retry has taken up is asked about afresh as soon as deletions have shown.
                    None if self.answers.refused.contains_key(&id) => {
                        if has_ended {
                            is_blind_too_long
                        } else {
                            has_lag_passed
                        }
                    }
                    Some(Sight::AbsentOnce) | None => false,
                }
            };
            if is_known {
                late.known.push((place, id));
            } else {
                late.open += 1;
            }
        }
        Ok(late)
    }

    /// Makes what is still there eligible again, in the same job; tells what leaves the job.
    pub(super) fn take_back(&self, settlement: &mut Settlement) -> Result<Vec<(Place, Uuid)>, StoreError> {
        let mut leaving = Vec::new();
        for (place, id) in parts::with_ids(&settlement.parts, &settlement.patch) {
            let is_open = settlement.patch.cell(place).is_some_and(|cell| cell.outcome == Outcome::Submitted);
            let is_canceling = self.canceling.contains(&place.slice.purge);
            if is_open && !is_canceling {
                let reason = codes::PRESENT_AFTER_LOST_SUBMIT;
                settlement.patch.decide(place, Outcome::Submitted, Outcome::Eligible, reason)?;
                continue;
            }
            if is_open {
                settlement.patch.decide(place, Outcome::Submitted, Outcome::Failed, codes::STILL_PRESENT)?;
            }
            leaving.push((place, id));
        }
        Ok(leaving)
    }

    /// Reads the answer for one conversation; `None` where upstream would not tell, or was not asked.
    fn sight(
        &self,
        settlement: &mut Settlement,
        tally: &mut Tally,
        place: Place,
        id: Uuid,
    ) -> Result<Option<Sight>, StoreError> {
        if self.answers.refused.contains_key(&id) {
            tally.untold += 1;
            return Ok(None);
        }
        if !self.answers.told.contains(&id) {
            tally.unasked += 1;
            return Ok(None);
        }
        let gap = SignedDuration::try_from(self.terms.absence_gap).unwrap_or(SignedDuration::MAX);
        let now = settlement.now;
        let asked_at = self.look.asked_at;
        let Some(cell) = settlement.patch.cell(place) else { return Ok(None) };
        let absent_at = settlement.patch.slice(place.slice).and_then(|slice| slice.absent_at);
        let is_old_enough = absent_at.is_some_and(|absent| asked_at.duration_since(absent) >= gap);
        let sight = sight(self.answers.facts.get(&id), cell.marks, is_old_enough);
        match sight {
            Sight::Gone => tally.gone += 1,
            Sight::Present => {
                tally.present += 1;
                settlement.patch.mark(place, Marks::NONE, Marks::ABSENT)?;
            }
            Sight::AbsentOnce => {
                tally.absent_once += 1;
                if !cell.marks.has(Marks::ABSENT) {
                    settlement.patch.mark(place, Marks::ABSENT, Marks::NONE)?;
                    if let Some(slice) = settlement.patch.slice_mut(place.slice) {
                        slice.absent_at = Some(now);
                    }
                }
            }
        }
        Ok(Some(sight))
    }
}

/// How long after the job's end a look was asked.
pub(super) fn since_end(look: &Look, settlement: &Settlement) -> Duration {
    let ended: Option<Timestamp> = settlement.job.ended_at;
    let since = ended.map(|ended| look.asked_at.duration_since(ended));
    since.and_then(|since| Duration::try_from(since).ok()).unwrap_or_default()
}

/// The conversations of the job whose fate is open.
fn open_places(settlement: &Settlement) -> Vec<(Place, Uuid)> {
    let is_open =
        |place: Place| settlement.patch.cell(place).is_some_and(|cell| cell.outcome == Outcome::Submitted);
    parts::with_ids(&settlement.parts, &settlement.patch)
        .into_iter()
        .filter(|(place, _)| is_open(*place))
        .collect()
}

async fn canceling(tx: &mut Tx, parts: &Parts) -> Result<HashSet<Uuid>, StoreError> {
    let mut purges: Vec<Uuid> = parts.keys().map(|key| key.purge).collect();
    purges.dedup();
    let canceling = sqlx::query_scalar!(
        "-- canceling_purges
        select id from purges where id = any($1) and state = 'canceling'",
        &purges
    )
    .all(tx)
    .await?;
    Ok(canceling.into_iter().collect())
}

/// How many jobs of the present run have left each conversation where it was.
async fn attempts(tx: &mut Tx, parts: &Parts) -> Result<HashMap<Place, u32>, StoreError> {
    let still_present = codes::STILL_PRESENT;
    let rows = sqlx::query!(
        "-- count_attempts
        select d.purge_id, d.slice_no, d.positions
        from decisions d
        join unnest($1::uuid[], $2::int[]) as wanted (purge_id, slice_no)
          on (d.purge_id, d.slice_no) = (wanted.purge_id, wanted.slice_no)
        join purges p on p.id = d.purge_id and p.run = d.run
        where d.step = 'verify' and d.code = $3 and d.to_outcome = $4",
        &parts.keys().map(|key| key.purge).collect::<Vec<_>>(),
        &parts.keys().map(|key| key.no).collect::<Vec<_>>(),
        still_present.code.as_ref(),
        i16::from(Outcome::Eligible.code())
    )
    .all(tx)
    .await?;
    let mut attempts = HashMap::new();
    for row in rows {
        let slice = SliceKey { purge: row.purge_id, no: row.slice_no };
        for position in row.positions.into_iter().filter_map(|position| usize::try_from(position).ok()) {
            *attempts.entry(Place { slice, position }).or_default() += 1;
        }
    }
    Ok(attempts)
}
