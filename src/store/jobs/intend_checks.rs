//! What an intent checks of every id, under the org's lock.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use uuid::Uuid;

use super::facts::FactsStamp;
use super::parts::Parts;
use crate::domain::outcome::{Marks, Outcome};
use crate::domain::reason::{Reason, codes};
use crate::domain::state::PurgeState;
use crate::domain::verdict::when_canceled;
use crate::store::StoreError;
use crate::store::slices::Place;
use crate::store::slices::patch::Patch;
use crate::store::tx::{Rows as _, Tx};

/// What the checks compare with.
pub(super) struct Conditions<'a> {
    pub(super) org: &'a str,
    pub(super) job: Uuid,
    pub(super) now: Timestamp,
    pub(super) policy_epoch: i64,
    pub(super) max_age: Duration,
}

impl Conditions<'_> {
    /// These facts are young enough, and judged by the rules in force.
    pub(super) fn are_fresh(&self, facts: Option<FactsStamp>) -> bool {
        facts.is_some_and(|facts| facts.holds(self.now, self.policy_epoch, self.max_age))
    }
}

/// Whether a conversation may be named, or how it leaves the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing stands against it.
    Stays,
    /// It leaves; `None` where it stays eligible.
    Leaves(Option<(Outcome, Reason)>),
    /// Another unfinished job has it: it leaves, and its reservation is not this job's to end.
    NotOurs,
}

/// Checks every conversation of the job, in its order.
pub(super) async fn check(
    tx: &mut Tx,
    patch: &Patch,
    parts: &Parts,
    conditions: &Conditions<'_>,
    carried: &[(Place, Uuid)],
) -> Result<Vec<Check>, StoreError> {
    let stamps: Vec<Option<FactsStamp>> =
        carried.iter().map(|(place, _)| parts.get(&place.slice).and_then(|part| part.facts)).collect();
    let seen = look_up(tx, conditions, carried, &stamps).await?;
    let states = purge_states(tx, carried).await?;
    Ok(carried
        .iter()
        .zip(stamps)
        .zip(seen)
        .map(|(((place, _), stamp), seen)| {
            let marks = patch.cell(*place).map(|cell| cell.marks).unwrap_or_default();
            decide(states.get(&place.slice.purge).copied(), marks, &seen, conditions.are_fresh(stamp))
        })
        .collect())
}

/// What the database knows of one id.
struct Seen {
    is_held: bool,
    is_ours: bool,
    was_purged_elsewhere: bool,
}

fn decide(state: Option<PurgeState>, marks: Marks, seen: &Seen, is_fresh: bool) -> Check {
    let leaves = |outcome, reason| Check::Leaves(Some((outcome, reason)));
    if !seen.is_ours {
        return Check::NotOurs;
    }
    if seen.is_held {
        return leaves(Outcome::OnHold, codes::LEGAL_HOLD);
    }
    match state {
        Some(state) if state.may_submit() => {}
        Some(PurgeState::Canceling | PurgeState::Canceled) => {
            return Check::Leaves(Some(when_canceled(marks)));
        }
        _ => return Check::Leaves(None),
    }
    if seen.was_purged_elsewhere {
        return leaves(Outcome::Pending, codes::PURGED_ELSEWHERE);
    }
    if !is_fresh {
        return leaves(Outcome::Pending, codes::FACTS_STALE);
    }
    Check::Stays
}

/// Holds, reservations and other purges' deletions, in one statement.
async fn look_up(
    tx: &mut Tx,
    conditions: &Conditions<'_>,
    carried: &[(Place, Uuid)],
    stamps: &[Option<FactsStamp>],
) -> Result<Vec<Seen>, StoreError> {
    let gone_late = codes::GONE_LATE;
    let purged = i32::from(Outcome::Purged.code());
    let slice_size = i32::try_from(crate::domain::SLICE_SIZE).unwrap_or(i32::MAX);
    let facts_at: Vec<Option<SqlTimestamp>> =
        stamps.iter().map(|stamp| stamp.map(|stamp| stamp.at.to_sqlx())).collect();
    let rows = sqlx::query!(
        r#"-- check_ids
        select
            exists (
                select from hold_conversations hc join holds h on h.id = hc.hold_id
                where hc.conversation_id = i.id and hc.org = $1 and h.active
            ) as "is_held!",
            exists (
                select from reservations r
                where r.org = $1 and r.conversation_id = i.id and r.job_id = $2
            ) as "is_ours!",
            exists (
                select from conversations c
                join slices s on s.purge_id = c.purge_id and s.slice_no = c.ordinal / $6
                where c.conversation_id = i.id and c.purge_id <> i.purge_id and s.org = $1
                  and s.purged_at >= i.facts_at
                  and (
                      get_byte(s.outcomes, c.ordinal % $6) & 15 = $7
                      or exists (
                          select from decisions d
                          where d.purge_id = s.purge_id and d.slice_no = s.slice_no and d.code = $8
                            and d.decided_at >= i.facts_at and (c.ordinal % $6)::smallint = any(d.positions)
                      )
                  )
            ) as "was_purged_elsewhere!"
        from unnest($3::uuid[], $4::uuid[], $5::timestamptz[]) with ordinality as i (id, purge_id, facts_at, n)
        order by i.n"#,
        conditions.org,
        conditions.job,
        &carried.iter().map(|(_, id)| *id).collect::<Vec<_>>(),
        &carried.iter().map(|(place, _)| place.slice.purge).collect::<Vec<_>>(),
        &facts_at as _,
        slice_size,
        purged,
        gone_late.code.as_ref()
    )
    .all(tx)
.await?;
    crate::store::error::ensure_rows("check_ids", rows.len() as u64, carried.len())?;
    Ok(rows
        .into_iter()
        .map(|row| Seen {
            is_held: row.is_held,
            is_ours: row.is_ours,
            was_purged_elsewhere: row.was_purged_elsewhere,
        })
        .collect())
}

/// The states of the purges; exact, since whoever changes them to something that forbids intents holds the org's lock.
async fn purge_states(
    tx: &mut Tx,
    carried: &[(Place, Uuid)],
) -> Result<HashMap<Uuid, PurgeState>, StoreError> {
    let mut purges: Vec<Uuid> = carried.iter().map(|(place, _)| place.slice.purge).collect();
    purges.sort_unstable();
    purges.dedup();
    let rows = sqlx::query!(
        r#"-- purge_states
        select id, state as "state: PurgeState" from purges where id = any($1)"#,
        &purges
    )
    .all(tx)
    .await?;
    rows.into_iter().map(|row| Ok((row.id, row.state))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_not_to_delete_takes_a_conversation_out_of_the_job() {
        use PurgeState::{Canceling, Paused, Queued, Running};
        let seen = |is_held, is_ours, was_purged_elsewhere| Seen { is_held, is_ours, was_purged_elsewhere };
        let leaves = |outcome, reason: Reason| Check::Leaves(Some((outcome, reason)));
        let table = [
            (Some(Running), seen(false, true, false), true, Check::Stays),
            (Some(Queued), seen(false, true, false), true, Check::Stays),
            (Some(Running), seen(true, true, false), true, leaves(Outcome::OnHold, codes::LEGAL_HOLD)),
            (Some(Canceling), seen(true, true, false), true, leaves(Outcome::OnHold, codes::LEGAL_HOLD)),
            (Some(Canceling), seen(false, true, false), true, leaves(Outcome::Canceled, codes::CANCELED)),
            (Some(Paused), seen(false, true, false), true, Check::Leaves(None)),
            (None, seen(false, true, false), true, Check::Leaves(None)),
            (Some(Running), seen(false, false, false), true, Check::NotOurs),
            (Some(Running), seen(false, true, true), true, leaves(Outcome::Pending, codes::PURGED_ELSEWHERE)),
            (Some(Running), seen(false, true, false), false, leaves(Outcome::Pending, codes::FACTS_STALE)),
        ];
        for (state, seen, is_fresh, expected) in table {
            assert_eq!(decide(state, Marks::NONE, &seen, is_fresh), expected, "{state:?}");
        }
    }
}
