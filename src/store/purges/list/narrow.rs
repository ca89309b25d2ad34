//! Which of the purges found by the index match the other filters.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use uuid::Uuid;

use super::Place;
use crate::domain::state::PurgeState;
use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx};

/// The filters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) state: Option<PurgeState>,
    pub(super) tags: Vec<String>,
    pub(super) requested_by: Option<String>,
    pub(super) created_after: Option<Timestamp>,
    pub(super) created_before: Option<Timestamp>,
}

impl Filter {
    /// Everything meets it.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A time, for Postgres.
pub(super) fn sql(at: Option<Timestamp>) -> Option<SqlTimestamp> {
    at.map(ToSqlx::to_sqlx)
}

/// Those that meet it, in their order. Each is looked up by its key, whatever the planner thinks of the tables.
pub(super) async fn narrow(
    tx: &mut Tx,
    candidates: Vec<Place>,
    filter: &Filter,
) -> Result<Vec<Place>, StoreError> {
    let ids: Vec<Uuid> = candidates.iter().map(|place| place.id()).collect();
    let met = sqlx::query_scalar!(
        r#"-- narrow_purges
        select c.id as "id!"
        from unnest($1::uuid[]) as c (id)
        cross join lateral (
            select org, state, requested_by, created_at from purges where id = c.id
            offset 0
        ) p
        where ($2::text is null or p.state::text = $2)
          and ($3::text is null or p.requested_by = $3)
          and ($4::timestamptz is null or p.created_at >= $4)
          and ($5::timestamptz is null or p.created_at < $5)
          and not exists (
              select from unnest($6::text[]) as t (tag)
              cross join lateral (
                  select count(*) as number from purge_tags where org = p.org and tag = t.tag and purge_id = c.id
              ) has
              where has.number = 0
          )"#,
        &ids,
        filter.state.map(PurgeState::as_str),
        filter.requested_by,
        sql(filter.created_after) as _,
        sql(filter.created_before) as _,
        &filter.tags
    )
    .all(tx)
    .await?;
    let met: HashSet<Uuid> = met.into_iter().collect();
    Ok(candidates.into_iter().filter(|place| met.contains(&place.id())).collect())
}
