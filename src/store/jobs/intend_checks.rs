//! What an intent checks of every id, under the org's lock.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use uuid::Uuid;

use super::facts::FactsStamp;
use super::parts::Parts;
use crate::domain::intent::{self, Check, Known};
use crate::domain::state::PurgeState;
use crate::store::StoreError;
use crate::store::slices::Place;
use crate::store::slices::patch::Patch;
use crate::store::tx::{Rows as _, Tx};

/// The data that the checks compare with.
pub(super) struct Conditions<'a> {
    pub(super) org: &'a str,
    pub(super) job: Uuid,
    pub(super) now: Timestamp,
    pub(super) policy_epoch: i64,
    pub(super) max_age: Duration,
    /// Facts from before say nothing of a submit that was forgotten.
    pub(super) asked_from: Option<Timestamp>,
}

impl Conditions<'_> {
    /// These facts are young enough, and judged by the rules in force.
    pub(super) fn are_fresh(&self, facts: Option<FactsStamp>) -> bool {
        facts.is_some_and(|facts| {
            facts.holds(self.now, self.policy_epoch, self.max_age)
                && self.asked_from.is_none_or(|from| facts.at >= from)
        })
    }
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
    let found = look_up(tx, conditions, carried, &stamps).await?;
    let states = purge_states(tx, carried).await?;
    Ok(carried
        .iter()
        .zip(stamps)
        .zip(found)
        .map(|(((place, _), stamp), found)| {
            intent::check(Known {
                is_ours: found.is_ours,
                is_gone_since: found.is_gone_since,
                is_held: found.is_held,
                purge: states.get(&place.slice.purge).copied(),
                is_kept_since: found.is_kept_since,
                is_fresh: conditions.are_fresh(stamp),
                marks: patch.cell(*place).map(|cell| cell.marks).unwrap_or_default(),
            })
        })
        .collect())
}

/// The data about one id.
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
struct Found {
    is_held: bool,
    is_ours: bool,
    is_gone_since: bool,
    is_kept_since: bool,
}

/// Holds, reservations and findings, in one statement: each by its key, however many purges name the id.
async fn look_up(
    tx: &mut Tx,
    conditions: &Conditions<'_>,
    carried: &[(Place, Uuid)],
    stamps: &[Option<FactsStamp>],
) -> Result<Vec<Found>, StoreError> {
    let facts_at: Vec<Option<SqlTimestamp>> =
        stamps.iter().map(|stamp| stamp.map(|stamp| stamp.at.to_sqlx())).collect();
    let rows = sqlx::query_as!(
        Found,
        r#"-- check_ids
        select
            held.by is not null as "is_held!",
            -- Read once: asked for each id by its job, all that the job has would be read for each.
            i.id in (select conversation_id from reservations where job_id = $2) as "is_ours!",
            -- Without facts of its own everything that was ever found out counts.
            coalesce(f.gone_at >= coalesce(i.facts_at, '-infinity'), false) as "is_gone_since!",
            coalesce(f.kept_at >= coalesce(i.facts_at, '-infinity'), false) as "is_kept_since!"
        from unnest($3::uuid[], $4::timestamptz[]) with ordinality as i (id, facts_at, n)
        -- Each by the key, whatever the planner took the tables for when they were empty.
        left join lateral (
            select h.id as by from hold_conversations hc join holds h on h.id = hc.hold_id
            where hc.conversation_id = i.id and hc.org = $1 and h.active
            limit 1
        ) held on true
        left join lateral (
            select gone_at, kept_at from findings where org = $1 and conversation_id = i.id limit 1
        ) f on true
        order by i.n"#,
        conditions.org,
        conditions.job,
        &carried.iter().map(|(_, id)| *id).collect::<Vec<_>>(),
        &facts_at as _
    )
    .all(tx)
    .await?;
    crate::store::error::ensure_rows("check_ids", rows.len() as u64, carried.len())?;
    Ok(rows)
}

/// The states of the purges; exact, because any change that forbids intents is made under the org's lock.
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
    Ok(rows.into_iter().map(|row| (row.id, row.state)).collect())
}
