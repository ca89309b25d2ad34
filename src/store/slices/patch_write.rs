//! Writes a patch: bytes, decisions, counts, and the end of every purge that has no open conversations left.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use uuid::Uuid;

use super::SliceKey;
use super::milestones::{self, Locked};
use super::patch::{Draft, Patch};
use super::purge_rows::{PurgeChange, lock_purges};
use crate::domain::outcome::{Cell, Outcome};
use crate::domain::progress::{Milestones, Moment};
use crate::domain::reason::Step;
use crate::domain::state::SliceState;
use crate::store::error::ensure_rows;
use crate::store::events::{Actor, write_for_purges};
use crate::store::findings;
use crate::store::purges::finish;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

impl Patch {
    /// Writes everything; the last thing that a transaction does to slices and purges.
    pub(in crate::store) async fn write(mut self, store: &Store, tx: &mut Tx) -> Result<(), StoreError> {
        let now = tx.now().await?;
        self.slices.retain(|_, slice| slice.is_changed);
        let mut changes = self.purge_changes();
        let parked = self.set_aside(tx, now, &mut changes).await?;
        if changes.is_empty() {
            return Ok(());
        }
        self.write_slices(tx, &mut changes).await?;
        self.write_decisions(tx, now).await?;
        findings::write(tx, now, &self).await?;
        write_purges(store, tx, now, &changes).await?;
        write_for_purges(store, tx, Actor::ENGINE, parked).await
    }

    /// Locks the purges of its slices and one more, for a transaction that changes that one's state before it writes.
    pub(in crate::store) async fn lock_purges(&self, tx: &mut Tx, also: Uuid) -> Result<(), StoreError> {
        let slices = self.slices.keys().chain(self.left_out.keys());
        let ids: Vec<Uuid> = slices.map(|slice| slice.purge).chain([also]).collect();
        lock_purges(tx, &ids).await
    }

    /// The differences in outcomes, which the decisions tell.
    fn purge_changes(&self) -> BTreeMap<Uuid, PurgeChange> {
        let mut changes = BTreeMap::<Uuid, PurgeChange>::new();
        for slice in self.slices.keys() {
            changes.entry(slice.purge).or_default();
        }
        for (decision, decided) in &self.decisions {
            let change = changes.entry(decision.slice.purge).or_default();
            let number = i64::try_from(decided.positions.len()).unwrap_or(i64::MAX);
            change.counts[decision.from] -= number;
            change.counts[decision.to] += number;
        }
        changes
    }

    async fn write_slices(
        &self,
        tx: &mut Tx,
        changes: &mut BTreeMap<Uuid, PurgeChange>,
    ) -> Result<(), StoreError> {
        let rows: Vec<(SliceKey, &Draft, Tallied)> =
            self.slices.iter().map(|(&key, slice)| (key, slice, Tallied::of(slice))).collect();
        let column = |pick: &dyn Fn(&Draft) -> Option<Timestamp>| -> Vec<Option<SqlTimestamp>> {
            rows.iter().map(|(_, slice, _)| pick(slice).map(ToSqlx::to_sqlx)).collect()
        };
        let written = sqlx::query!(
            r#"-- write_slices
            update slices s
            set outcomes = new.outcomes, state = new.state::slice_state, pending = new.pending,
                drawable = new.drawable, facts_at = new.facts_at, facts_epoch = new.facts_epoch,
                absent_at = new.absent_at,
                run_at = coalesce(new.run_at, s.run_at), tries = new.tries, fruitless = new.fruitless,
                epoch = new.epoch, silent = new.silent::smallint[], silent_since = new.silent_since::timestamptz[],
                asked = case when new.state = 'validating' then least(s.asked, new.pending) else 0 end,
                lease_until = case when new.state = 'validating' then s.lease_until end,
                panics = case when $16 then 0 else s.panics end,
                -- What is written could be read.
                read_again_at = null, unreadable_why = null, unreadable_tries = 0, parked_at = null
            from unnest(
                $1::uuid[], $2::int[], $3::bytea[], $4::text[], $5::smallint[], $6::smallint[], $7::timestamptz[],
                $8::bigint[], $9::timestamptz[], $10::timestamptz[], $11::smallint[], $12::smallint[], $13::bigint[],
                $14::text[], $15::text[]
            ) as new (purge_id, slice_no, outcomes, state, pending, drawable, facts_at, facts_epoch, absent_at, run_at,
                      tries, fruitless, epoch, silent, silent_since)
            join slices old on (old.purge_id, old.slice_no) = (new.purge_id, new.slice_no)
            where (s.purge_id, s.slice_no) = (new.purge_id, new.slice_no)
            returning s.purge_id, s.drawable - old.drawable as "drawable!""#,
            &rows.iter().map(|(key, ..)| key.purge).collect::<Vec<_>>(),
            &rows.iter().map(|(key, ..)| key.no).collect::<Vec<_>>(),
            &rows
                .iter()
                .map(|(_, slice, _)| slice.cells.iter().map(|cell| cell.to_byte()).collect())
                .collect::<Vec<Vec<u8>>>(),
            &rows.iter().map(|(_, _, tallied)| tallied.state.to_string()).collect::<Vec<_>>(),
            &rows.iter().map(|(_, _, tallied)| tallied.pending).collect::<Vec<_>>(),
            &rows.iter().map(|(_, _, tallied)| tallied.drawable).collect::<Vec<_>>(),
            &column(&|slice| slice.facts_at) as _,
            &rows.iter().map(|(_, slice, _)| slice.facts_epoch).collect::<Vec<_>>() as _,
            &column(&|slice| slice.absent_at) as _,
            &column(&|slice| slice.run_at) as _,
            &rows.iter().map(|(_, slice, _)| slice.tries).collect::<Vec<_>>(),
            &rows.iter().map(|(_, slice, _)| slice.fruitless).collect::<Vec<_>>(),
            &rows.iter().map(|(_, slice, _)| slice.epoch).collect::<Vec<_>>(),
            &rows.iter().map(|(_, slice, _)| silent_literal(slice)).collect::<Vec<_>>() as _,
            &rows.iter().map(|(_, slice, _)| silent_since_literal(slice)).collect::<Vec<_>>() as _,
            self.step == Step::Validate
        )
        .all(tx)
        .await?;
        ensure_rows("write_slices", written.len() as u64, rows.len())?;
        for row in written {
            changes.entry(row.purge_id).or_default().drawable += i64::from(row.drawable);
        }
        Ok(())
    }

    async fn write_decisions(&self, tx: &mut Tx, now: Timestamp) -> Result<(), StoreError> {
        if self.decisions.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = self.decisions.iter().collect();
        sqlx::query!(
            "-- write_decisions
            insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, job_id, code,
                                   detail, kept_until, decided_at)
            select new.purge_id, new.slice_no, p.run, new.positions::smallint[], new.from_outcome, new.to_outcome,
                   $9, $10, new.code, new.detail, new.kept_until::timestamptz[], $11
            from unnest($1::uuid[], $2::int[], $3::text[], $4::smallint[], $5::smallint[], $6::text[], $7::text[],
                        $8::text[])
                 with ordinality as new (purge_id, slice_no, positions, from_outcome, to_outcome, code, detail,
                                         kept_until, n)
            join purges p on p.id = new.purge_id
            order by new.n",
            &rows.iter().map(|(decision, _)| decision.slice.purge).collect::<Vec<_>>(),
            &rows.iter().map(|(decision, _)| decision.slice.no).collect::<Vec<_>>(),
            &rows.iter().map(|(_, decided)| array_literal(&decided.positions)).collect::<Vec<_>>(),
            &rows.iter().map(|(decision, _)| i16::from(decision.from.code())).collect::<Vec<_>>(),
            &rows.iter().map(|(decision, _)| i16::from(decision.to.code())).collect::<Vec<_>>(),
            &rows.iter().map(|(decision, _)| decision.reason.code.to_string()).collect::<Vec<_>>(),
            &rows.iter().map(|(decision, _)| decision.reason.detail.clone()).collect::<Vec<_>>() as _,
            &rows.iter().map(|(_, decided)| moments_literal(&decided.kept_until)).collect::<Vec<_>>() as _,
            self.step.as_str(),
            self.job,
            now.to_sqlx() as _
        )
        .exactly(tx, rows.len())
        .await
    }
}

/// The columns of a slice that summarize its bytes.
struct Tallied {
    state: SliceState,
    pending: i16,
    drawable: i16,
}

impl Tallied {
    fn of(slice: &Draft) -> Self {
        let count = |is: &dyn Fn(&Cell) -> bool| {
            i16::try_from(slice.cells.iter().filter(|cell| is(cell)).count()).unwrap_or(i16::MAX)
        };
        let pending = count(&|cell| cell.outcome == Outcome::Pending);
        let state = if pending > 0 {
            let is_asked = slice.state == SliceState::Validating && !slice.is_released;
            if is_asked { SliceState::Validating } else { SliceState::Queued }
        } else if slice.cells.iter().all(|cell| cell.outcome.is_final()) {
            SliceState::Settled
        } else {
            SliceState::Ready
        };
        Self { state, pending, drawable: count(&|cell| cell.is_drawable()) }
    }
}

/// Adds the differences to the counts, by id, and ends purges without open conversations.
async fn write_purges(
    store: &Store,
    tx: &mut Tx,
    now: Timestamp,
    changes: &BTreeMap<Uuid, PurgeChange>,
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = changes.keys().copied().collect();
    let locked = milestones::lock(tx, now, changes).await?;
    note_decided(tx, &locked, changes);
    let differences =
        |outcome: Outcome| changes.values().map(|change| change.counts[outcome]).collect::<Vec<_>>();
    let moments = |pick: &dyn Fn(&Milestones) -> Moment| -> (Vec<SqlTimestamp>, Vec<i64>) {
        locked
            .iter()
            .map(|purge| pick(&purge.milestones))
            .map(|moment| (moment.at.to_sqlx(), moment.settled))
            .unzip()
    };
    let (rate_at, rate_settled) = moments(&|milestones| milestones.last);
    let (rate_from_at, rate_from_settled) = moments(&|milestones| milestones.from);
    let ended = sqlx::query_scalar!(
        "-- write_counts
        update purges p
        set drawable = p.drawable + d.drawable, pending = p.pending + d.pending, eligible = p.eligible + d.eligible,
            submitted = p.submitted + d.submitted, purged = p.purged + d.purged,
            already_purged = p.already_purged + d.already_purged, on_hold = p.on_hold + d.on_hold,
            retained = p.retained + d.retained, not_found = p.not_found + d.not_found, active = p.active + d.active,
            failed = p.failed + d.failed, canceled = p.canceled + d.canceled,
            would_purge = p.would_purge + d.would_purge, ask_at = next_ask(p.id, p.ask_turn_at), swept = false,
            rate_at = d.rate_at, rate_settled = d.rate_settled, rate_from_at = d.rate_from_at,
            rate_from_settled = d.rate_from_settled
        from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                    $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
                    $14::bigint[], $15::timestamptz[], $16::bigint[], $17::timestamptz[], $18::bigint[])
             as d (id, drawable, pending, eligible, submitted, purged, already_purged, on_hold, retained, not_found,
                   active, failed, canceled, would_purge, rate_at, rate_settled, rate_from_at, rate_from_settled)
        where p.id = d.id
        returning case when p.pending + p.eligible + p.submitted = 0 and p.finished_at is null then p.id end",
        &ids,
        &changes.values().map(|change| change.drawable).collect::<Vec<_>>(),
        &differences(Outcome::Pending),
        &differences(Outcome::Eligible),
        &differences(Outcome::Submitted),
        &differences(Outcome::Purged),
        &differences(Outcome::AlreadyPurged),
        &differences(Outcome::OnHold),
        &differences(Outcome::Retained),
        &differences(Outcome::NotFound),
        &differences(Outcome::Active),
        &differences(Outcome::Failed),
        &differences(Outcome::Canceled),
        &differences(Outcome::WouldPurge),
        &rate_at as _,
        &rate_settled,
        &rate_from_at as _,
        &rate_from_settled
    )
    .all(tx)
    .await?;
    ensure_rows("write_counts", ended.len() as u64, ids.len())?;
    let ended: Vec<Uuid> = ended.into_iter().flatten().collect();
    finish::finish(store, tx, now, &ended).await
}

/// Counts the final outcomes once this is committed.
fn note_decided(tx: &mut Tx, locked: &[Locked], changes: &BTreeMap<Uuid, PurgeChange>) {
    for purge in locked {
        let Some(change) = changes.get(&purge.id) else { continue };
        for outcome in Outcome::ALL.iter().filter(|outcome| outcome.is_final()) {
            // A retry takes failed conversations up again: that undoes no count.
            if let Some(number) = u64::try_from(change.counts[*outcome]).ok().filter(|number| *number > 0) {
                tx.will_decide(&purge.org, *outcome, number);
            }
        }
    }
}

fn silent_literal(slice: &Draft) -> Option<String> {
    let positions = slice.silent.keys().filter_map(|&position| i16::try_from(position).ok());
    (!slice.silent.is_empty()).then(|| array_literal(&positions.collect::<Vec<_>>()))
}

fn silent_since_literal(slice: &Draft) -> Option<String> {
    moments_literal(slice.silent.values())
}

/// Times as an array, if there are any.
fn moments_literal<'a>(moments: impl IntoIterator<Item = &'a Timestamp>) -> Option<String> {
    let moments: Vec<String> = moments.into_iter().map(|moment| format!("\"{moment}\"")).collect();
    (!moments.is_empty()).then(|| format!("{{{}}}", moments.join(",")))
}

/// `{1,2,3}`: Postgres takes no arrays of arrays that differ in length.
pub(in crate::store) fn array_literal(positions: &[i16]) -> String {
    let mut literal = String::with_capacity(2 + positions.len() * 4);
    literal.push('{');
    for (number, position) in positions.iter().enumerate() {
        if number > 0 {
            literal.push(',');
        }
        literal.push_str(&position.to_string());
    }
    literal.push('}');
    literal
}
