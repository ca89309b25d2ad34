//! The one way in which an outcome changes.
//!
//! [`Patch::lock`] takes the slices by id and reads them; [`Patch::decide`] checks every `from`; `write` stores the
//! bytes, one decision row a step, slice and result, and last, by id, the counts of the purges. Since the bytes are
//! read under the lock, no array is ever written from an earlier read.
//!
//! A slice that can't be read is left out (`aside.rs`): it is not in the patch, so nothing is decided about it, and
//! everything else goes on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use super::aside::LeftOut;
use super::{Place, SliceKey};
use crate::domain::outcome::{Cell, Marks, Outcome};
use crate::domain::reason::{Reason, Step, kept_until};
use crate::domain::state::SliceState;
use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx};

/// A slice under lock.
#[derive(Debug)]
pub(in crate::store) struct Draft {
    pub(in crate::store) ids: Vec<Uuid>,
    pub(in crate::store) cells: Vec<Cell>,
    pub(in crate::store) state: SliceState,
    pub(in crate::store) epoch: i64,
    pub(in crate::store) facts_at: Option<Timestamp>,
    pub(in crate::store) facts_epoch: Option<i64>,
    pub(in crate::store) absent_at: Option<Timestamp>,
    /// When the slice is to be asked about again; `None` leaves it as it is.
    pub(in crate::store) run_at: Option<Timestamp>,
    /// Questions without an answer in a row.
    pub(in crate::store) tries: i16,
    /// Those among them that failed for themselves.
    pub(in crate::store) fruitless: i16,
    /// Positions that got no answer even alone, and since when.
    pub(in crate::store) silent: BTreeMap<usize, Timestamp>,
    /// The lease is given back with this patch.
    pub(in crate::store) is_released: bool,
    pub(super) is_changed: bool,
    /// How often this patch has decided about each position; empty before the first time.
    pub(super) decided: Vec<u8>,
}

/// Locked slices, and the pending changes.
pub(in crate::store) struct Patch {
    pub(super) step: Step,
    pub(super) job: Option<Uuid>,
    pub(super) slices: BTreeMap<SliceKey, Draft>,
    pub(super) left_out: BTreeMap<SliceKey, LeftOut>,
    pub(super) decisions: BTreeMap<Decision, Decided>,
    /// Conversations that something was found against deleting, whatever is decided about them.
    kept: Vec<Place>,
}

/// The contents of a decision row, in the order in which the rows are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Decision {
    /// How often this patch had decided about the same conversation before: what follows from it comes after it.
    pub(super) turn: u8,
    pub(super) slice: SliceKey,
    pub(super) from: Outcome,
    pub(super) to: Outcome,
    /// Without a moment: each conversation has its own.
    pub(super) reason: Reason,
    /// Each conversation is kept until a moment of its own.
    pub(super) is_dated: bool,
}

/// The conversations that a row of decisions is about.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub(super) positions: Vec<i16>,
    /// Until when each is kept, in their order; empty where no date is the reason.
    pub(super) kept_until: Vec<Timestamp>,
}

impl Patch {
    /// Locks the slices, in the order of their ids, and reads them. What can't be read, or is set aside, is left out.
    pub(in crate::store) async fn lock(
        tx: &mut Tx,
        step: Step,
        job: Option<Uuid>,
        keys: Vec<SliceKey>,
    ) -> Result<Self, StoreError> {
        Self::read(tx, step, job, keys, false).await
    }

    /// Locks a slice that is set aside, and reads it again.
    pub(in crate::store) async fn lock_set_aside(
        tx: &mut Tx,
        step: Step,
        key: SliceKey,
    ) -> Result<Self, StoreError> {
        Self::read(tx, step, None, vec![key], true).await
    }

    async fn read(
        tx: &mut Tx,
        step: Step,
        job: Option<Uuid>,
        mut keys: Vec<SliceKey>,
        is_read_again: bool,
    ) -> Result<Self, StoreError> {
        keys.sort_unstable();
        keys.dedup();
        let purges: Vec<Uuid> = keys.iter().map(|key| key.purge).collect();
        let numbers: Vec<i32> = keys.iter().map(|key| key.no).collect();
        let rows = sqlx::query!(
            r#"-- lock_slices
            select s.purge_id, s.slice_no, s.ids, s.outcomes, s.state as "state: SliceState", s.epoch, s.facts_at,
                   s.facts_epoch, s.absent_at, s.tries, s.fruitless, s.silent,
                   s.silent_since as "silent_since: Vec<SqlTimestamp>", s.read_again_at is not null as "is_set_aside!",
                   s.unreadable_tries
            from slices s
            join unnest($1::uuid[], $2::int[]) as wanted (purge_id, slice_no)
              on (s.purge_id, s.slice_no) = (wanted.purge_id, wanted.slice_no)
            order by s.purge_id, s.slice_no
            for update of s"#,
            &purges,
            &numbers
        )
        .all(tx)
        .await?;
        crate::store::error::ensure_rows("lock_slices", rows.len() as u64, keys.len())?;
        let (mut slices, mut left_out) = (BTreeMap::new(), BTreeMap::new());
        for row in rows {
            let key = SliceKey { purge: row.purge_id, no: row.slice_no };
            let is_known = row.is_set_aside && !is_read_again;
            let cells = match Cell::read(&row.outcomes) {
                Ok(cells) if !is_known => cells,
                read => {
                    let why = read.err().filter(|_| !is_known).map(|unreadable| unreadable.to_string());
                    left_out.insert(key, LeftOut { ids: row.ids, tries: row.unreadable_tries, why });
                    continue;
                }
            };
            let draft = Draft {
                ids: row.ids,
                cells,
                state: row.state,
                epoch: row.epoch,
                facts_at: row.facts_at.map(SqlTimestamp::to_jiff),
                facts_epoch: row.facts_epoch,
                absent_at: row.absent_at.map(SqlTimestamp::to_jiff),
                run_at: None,
                tries: row.tries,
                fruitless: row.fruitless,
                silent: silent(row.silent.as_deref(), row.silent_since.as_deref()),
                is_released: false,
                is_changed: false,
                decided: Vec::new(),
            };
            slices.insert(key, draft);
        }
        Ok(Self { step, job, slices, left_out, decisions: BTreeMap::new(), kept: Vec::new() })
    }

    /// Every decision so far: place, from, to, code.
    pub(in crate::store) fn for_each_decision(&self, mut look: impl FnMut(Place, Outcome, Outcome, &str)) {
        for (decision, decided) in &self.decisions {
            for position in decided.positions.iter().filter_map(|&position| usize::try_from(position).ok()) {
                let place = Place { slice: decision.slice, position };
                look(place, decision.from, decision.to, &decision.reason.code);
            }
        }
    }

    /// A slice under lock.
    pub(in crate::store) fn slice(&self, key: SliceKey) -> Option<&Draft> {
        self.slices.get(&key)
    }

    /// A slice under lock, to stamp it.
    pub(in crate::store) fn slice_mut(&mut self, key: SliceKey) -> Option<&mut Draft> {
        let slice = self.slices.get_mut(&key)?;
        slice.is_changed = true;
        Some(slice)
    }

    /// The current outcome of a conversation.
    pub(in crate::store) fn cell(&self, place: Place) -> Option<Cell> {
        self.slices.get(&place.slice)?.cells.get(place.position).copied()
    }

    /// Decides: the conversation goes from one outcome to another, for this reason.
    pub(in crate::store) fn decide(
        &mut self,
        place: Place,
        from: Outcome,
        to: Outcome,
        reason: Reason,
    ) -> Result<(), StoreError> {
        let slice = self.slice_of(place)?;
        let cell = &mut slice.cells[place.position];
        if cell.outcome != from || !from.may_become(to) {
            return Err(StoreError::Transition {
                purge: place.slice.purge,
                slice_no: place.slice.no,
                position: place.position,
                found: cell.outcome,
                expected: from,
                to,
            });
        }
        cell.outcome = to;
        self.note(place, from, to, reason)
    }

    /// Records that the conversation was seen to be gone; the outcome stays.
    pub(in crate::store) fn note_gone(&mut self, place: Place, reason: Reason) -> Result<(), StoreError> {
        let slice = self.slice_of(place)?;
        let outcome = slice.cells[place.position].outcome;
        self.note(place, outcome, outcome, reason)
    }

    fn note(&mut self, place: Place, from: Outcome, to: Outcome, reason: Reason) -> Result<(), StoreError> {
        let slice = self.slice_of(place)?;
        // A first absence or a silence says nothing any more once the conversation was decided about.
        slice.silent.remove(&place.position);
        let cell = &mut slice.cells[place.position];
        cell.marks = cell.marks.without(Marks::ABSENT);
        slice.decided.resize(slice.cells.len(), 0);
        let turn = slice.decided[place.position];
        slice.decided[place.position] = turn.saturating_add(1);
        let position = i16::try_from(place.position).unwrap_or(i16::MAX);
        let (reason, date) = split_date(reason);
        let decision = Decision { turn, slice: place.slice, from, to, reason, is_dated: date.is_some() };
        let decided = self.decisions.entry(decision).or_default();
        decided.positions.push(position);
        decided.kept_until.extend(date);
        Ok(())
    }

    /// Notes that something stands against deleting the conversation, so that other purges hear of it even where it is not
    /// what becomes of this one.
    pub(in crate::store) fn note_kept(&mut self, place: Place) -> Result<(), StoreError> {
        self.slice_of(place)?;
        self.kept.push(place);
        Ok(())
    }

    /// The recorded findings.
    pub(in crate::store) fn kept(&self) -> &[Place] {
        &self.kept
    }

    /// This patch has decided about it.
    pub(in crate::store) fn has_decided(&self, place: Place) -> bool {
        self.slices
            .get(&place.slice)
            .and_then(|slice| slice.decided.get(place.position))
            .is_some_and(|&times| times > 0)
    }

    /// A running query of the slice was too early: its answer no longer counts, and it is queried again.
    pub(in crate::store) fn revoke_question(&mut self, key: SliceKey, now: Timestamp) {
        let is_asked = |slice: &&mut Draft| slice.state == SliceState::Validating;
        if let Some(slice) = self.slices.get_mut(&key).filter(is_asked) {
            slice.epoch += 1;
            slice.is_released = true;
            slice.run_at = Some(now);
            slice.is_changed = true;
        }
    }

    /// Sets and clears marks, which are no decisions.
    pub(in crate::store) fn mark(
        &mut self,
        place: Place,
        set: Marks,
        clear: Marks,
    ) -> Result<(), StoreError> {
        let cell = &mut self.slice_of(place)?.cells[place.position];
        cell.marks = cell.marks.without(clear).with(set);
        Ok(())
    }

    /// The slice of a place that exists in it.
    fn slice_of(&mut self, place: Place) -> Result<&mut Draft, StoreError> {
        match self.slices.get_mut(&place.slice) {
            Some(slice) if place.position < slice.cells.len() => {
                slice.is_changed = true;
                Ok(slice)
            }
            _ => Err(StoreError::Unreadable {
                what: "position of a conversation",
                detail: format!(
                    "{} of slice {} of purge {}",
                    place.position, place.slice.no, place.slice.purge
                ),
            }),
        }
    }
}

/// What a reason says of each of many conversations alike, and the moment that is one's own. Postgres keeps microseconds:
/// a moment that it would round is told in words.
fn split_date(reason: Reason) -> (Reason, Option<Timestamp>) {
    let Some(until) = reason.kept_until else { return (reason, None) };
    let is_kept_whole = until.subsec_nanosecond() % 1000 == 0;
    let detail = if is_kept_whole { reason.detail } else { Some(kept_until(until)) };
    (Reason { detail, kept_until: None, ..reason }, is_kept_whole.then_some(until))
}

/// Positions with their moments, as they are stored.
pub(super) fn silent(
    positions: Option<&[i16]>,
    since: Option<&[SqlTimestamp]>,
) -> BTreeMap<usize, Timestamp> {
    let positions =
        positions.unwrap_or_default().iter().filter_map(|&position| usize::try_from(position).ok());
    positions.zip(since.unwrap_or_default().iter().map(|since| since.to_jiff())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reason::codes;

    #[test]
    fn a_moment_stands_apart_unless_the_database_would_round_it() {
        let kept =
            |until: &str| Reason { kept_until: Some(until.parse().unwrap()), ..codes::RETENTION_PERIOD };
        let exact = "2027-03-01T12:00:00.123456Z";
        assert_eq!(split_date(kept(exact)), (codes::RETENTION_PERIOD, Some(exact.parse().unwrap())));
        let finer = "2027-03-01T12:00:00.123456001Z";
        let told = Reason { detail: Some(format!("kept until {finer}")), ..codes::RETENTION_PERIOD };
        assert_eq!(split_date(kept(finer)), (told, None));
        let refused = Reason::upstream(Some("bad"), "is bad");
        assert_eq!(split_date(refused.clone()), (refused, None));
    }
}
