//! Chooses the ids of the next details query: a share of every waiting purge, as packing does for a job.

use std::collections::HashMap;

use uuid::Uuid;

use super::SliceKey;
use super::claim::Reach;
use crate::domain::backoff;
use crate::domain::outcome::{Cell, Marks, Outcome};
use crate::domain::packing::{ids_to_ask, shares};
use crate::domain::terms::OrgTerms;
use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx};

/// The plan of a query, before its slices are locked.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) keys: Vec<SliceKey>,
    /// Maximum ids.
    room: usize,
    /// The share of each purge, in the order of their turn.
    shares: Vec<(Uuid, usize)>,
}

/// A locked slice, and its ids that may be queried.
#[derive(Debug)]
pub(super) struct Askable {
    pub(super) slice: SliceKey,
    pub(super) is_dry_run: bool,
    pub(super) tries: i16,
    pub(super) fruitless: i16,
    /// Questions in a row that panicked.
    pub(super) panics: u16,
    /// Conversations that need facts, each with its id, in query order.
    pub(super) pending: Vec<(usize, Uuid)>,
    /// Those of them that got no answer even alone.
    pub(super) silent: Vec<usize>,
}

/// Chooses slices by the turn of their purges, until the call is full.
pub(super) async fn choose(tx: &mut Tx, org: &OrgTerms, reach: Reach) -> Result<Wanted, StoreError> {
    let due_slices = due_slices(tx, &org.name, reach).await?;
    // A control rides along without a call of its own.
    let has_control = due_slices.first().is_some_and(|due| due.has_control);
    let room = org.details_batch.saturating_sub(usize::from(has_control)).max(1);
    let mut in_line = Vec::<(Uuid, Vec<(SliceKey, usize)>)>::new();
    for due in due_slices {
        let pending = usize::try_from(due.pending).unwrap_or_default();
        let slice = (SliceKey { purge: due.purge, no: due.slice_no }, pending);
        match in_line.last_mut() {
            Some((purge, slices)) if *purge == due.purge => slices.push(slice),
            _ => in_line.push((due.purge, vec![slice])),
        }
    }
    let available: Vec<usize> =
        in_line.iter().map(|(_, slices)| slices.iter().map(|(_, pending)| pending).sum()).collect();
    let mut wanted = Wanted { room, ..Wanted::default() };
    for ((purge, slices), share) in in_line.into_iter().zip(shares(&available, room)) {
        let mut before = 0;
        for (key, pending) in slices {
            if before < share {
                wanted.keys.push(key);
            }
            before += pending;
        }
        wanted.shares.push((purge, share));
    }
    Ok(wanted)
}

/// A slice that a question may take.
struct Due {
    purge: Uuid,
    slice_no: i32,
    pending: i16,
    /// The org has a control.
    has_control: bool,
}

/// The due slices of the first 200 purges in line, in the order of their turn: 500 of one, or four of each.
async fn due_slices(tx: &mut Tx, org: &str, reach: Reach) -> Result<Vec<Due>, StoreError> {
    match reach {
        Reach::ForSlots => {
            sqlx::query_as!(
                Due,
                r#"-- slices_due_for_slots
                with in_line as materialized (
                    select id, ask_at
                    from purges_asked_for_slots
                    where org = $1 and ask_at <= (select clock_timestamp())
                    order by ask_at, id
                    limit 200
                ), of_each as materialized (select greatest(500 / nullif(count(*), 0), 4) as slices from in_line)
                select p.id as "purge!", s.slice_no as "slice_no!", s.pending as "pending!",
                       (exists (select from controls_known where org = $1)) as "has_control!"
                from in_line p
                cross join lateral (
                    select slice_no, pending, run_at
                    from slices_to_ask
                    where purge_id = p.id and run_at <= (select clock_timestamp())
                    order by run_at, slice_no
                    limit (select slices from of_each)
                ) s
                order by p.ask_at, p.id, s.run_at, s.slice_no"#,
                org
            )
            .all(tx)
            .await
        }
        Reach::FirstAndDryRuns => {
            sqlx::query_as!(
                Due,
                r#"-- slices_due_first
                with in_line as materialized (
                    select id, ask_at
                    from purges_asked_first
                    where org = $1 and ask_at <= (select clock_timestamp())
                    order by ask_at, id
                    limit 200
                ), of_each as materialized (select greatest(500 / nullif(count(*), 0), 4) as slices from in_line)
                select p.id as "purge!", s.slice_no as "slice_no!", s.pending as "pending!",
                       (exists (select from controls_known where org = $1)) as "has_control!"
                from in_line p
                cross join lateral (
                    select slice_no, pending, run_at
                    from slices_to_ask
                    where purge_id = p.id and run_at <= (select clock_timestamp())
                    order by run_at, slice_no
                    limit (select slices from of_each)
                ) s
                order by p.ask_at, p.id, s.run_at, s.slice_no"#,
                org
            )
            .all(tx)
            .await
        }
    }
}

/// Locks the slices that no other worker has taken meanwhile, and reads which ids may be queried; the error names
/// unreadable slices.
pub(super) async fn lock(
    tx: &mut Tx,
    keys: &[SliceKey],
) -> Result<Result<Vec<Askable>, Vec<SliceKey>>, StoreError> {
    let rows = sqlx::query!(
        "-- lock_slices_to_ask
        select s.purge_id, s.slice_no, s.ids, s.outcomes, s.tries, s.fruitless, s.panics, s.silent, p.dry_run
        from slices s
        join unnest($1::uuid[], $2::int[]) as wanted (purge_id, slice_no)
          on (s.purge_id, s.slice_no) = (wanted.purge_id, wanted.slice_no)
        join purges p on p.id = s.purge_id
        where s.state = 'queued' and s.read_again_at is null and s.run_at <= clock_timestamp()
        order by s.purge_id, s.slice_no
        for update of s skip locked",
        &keys.iter().map(|key| key.purge).collect::<Vec<_>>(),
        &keys.iter().map(|key| key.no).collect::<Vec<_>>()
    )
    .all(tx)
    .await?;
    let (mut slices, mut unreadable) = (Vec::new(), Vec::new());
    for row in rows {
        let slice = SliceKey { purge: row.purge_id, no: row.slice_no };
        let Ok(cells) = Cell::read(&row.outcomes) else {
            unreadable.push(slice);
            continue;
        };
        let silent: Vec<usize> = row
            .silent
            .unwrap_or_default()
            .into_iter()
            .filter_map(|position| usize::try_from(position).ok())
            .collect();
        slices.push(Askable {
            slice,
            is_dry_run: row.dry_run,
            tries: row.tries,
            fruitless: row.fruitless,
            panics: row.panics.max(0).unsigned_abs(),
            pending: pending(&cells, &row.ids, &silent),
            silent,
        });
    }
    Ok(if unreadable.is_empty() { Ok(slices) } else { Err(unreadable) })
}

/// What needs facts: what no answer has left out yet comes first, since the rest may be asked too early to prove anything.
/// What had no answer though it was alone waits until the others of its slice were asked.
fn pending(cells: &[Cell], ids: &[Uuid], silent: &[usize]) -> Vec<(usize, Uuid)> {
    let (mut fresh, mut absent, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    let is_pending = |(_, (cell, _)): &(usize, (&Cell, &Uuid))| cell.outcome == Outcome::Pending;
    for (position, (cell, &id)) in cells.iter().zip(ids).enumerate().filter(is_pending) {
        let place = if silent.contains(&position) {
            &mut alone
        } else if cell.marks.has(Marks::ABSENT) {
            &mut absent
        } else {
            &mut fresh
        };
        place.push((position, id));
    }
    if fresh.is_empty() {
        absent.append(&mut alone);
    }
    fresh.append(&mut absent);
    fresh
}

/// Keeps of each slice what the question is about. Where questions have panicked over some, those are asked about by themselves.
pub(super) fn pick(wanted: &Wanted, slices: &mut Vec<Askable>) {
    let panics = slices.iter().map(|askable| askable.panics).max().unwrap_or_default();
    slices.retain(|askable| askable.panics == panics);
    slices.truncate(backoff::together(panics));
    let turns: HashMap<Uuid, usize> =
        wanted.shares.iter().enumerate().map(|(turn, (purge, _))| (*purge, turn)).collect();
    let turn_of = |askable: &Askable| turns.get(&askable.slice.purge).copied().unwrap_or_default();
    let mut in_turn: Vec<(usize, Vec<Uuid>)> = slices
        .iter()
        .map(|askable| (turn_of(askable), askable.pending.iter().map(|(_, id)| *id).collect()))
        .collect();
    in_turn.sort_by_key(|(turn, _)| *turn);
    let shares: Vec<usize> = wanted.shares.iter().map(|(_, share)| *share).collect();
    let asked = ids_to_ask(&in_turn, &shares, wanted.room);
    for askable in slices.iter_mut() {
        askable.pending.retain(|(_, id)| asked.contains(id));
        askable.pending.sort_unstable();
    }
    slices.retain(|askable| !askable.pending.is_empty());
}
