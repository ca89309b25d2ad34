//! The index that a list reads, no further than the page needs.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use super::narrow::{Filter, sql};
use super::{Place, Wanted};
use crate::domain::keys::Reach;
use crate::domain::state::PurgeState;
use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx};

/// One of the indexes, and the position in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lead {
    /// By org and state: the newest of each pair.
    State(Option<PurgeState>),
    /// By a tag: the newest of each org that have it.
    Tag(String),
    /// By the time of acceptance, between two moments; of one requester or of all.
    Request(Option<String>, Option<Timestamp>, Option<Timestamp>),
    /// By the end, from a moment on, the last first.
    End(Timestamp),
}

/// The index to use, and the remaining filters. A filter by end time uses its own index, because only that is ordered
/// by it; then a tag, which is the most selective; then a state with few purges.
pub(super) fn choose(wanted: &Wanted, mut tags: Vec<String>) -> (Lead, Filter) {
    let mut rest = Filter {
        state: wanted.state,
        tags: Vec::new(),
        requested_by: wanted.requested_by.clone(),
        created_after: wanted.created_after,
        created_before: wanted.created_before,
    };
    let is_open = wanted.state.is_some_and(|state| !state.is_final());
    let is_by_request = [wanted.created_after, wanted.created_before].iter().any(Option::is_some)
        || wanted.requested_by.is_some();
    let lead = if let Some(end) = wanted.finished_after {
        Lead::End(end)
    } else if let Some(tag) = tags.pop() {
        Lead::Tag(tag)
    } else if is_by_request && !is_open {
        Lead::Request(rest.requested_by.take(), rest.created_after.take(), rest.created_before.take())
    } else {
        Lead::State(rest.state.take())
    };
    rest.tags = tags;
    (lead, rest)
}

impl Lead {
    /// The next places in its order, within the reach.
    pub(super) async fn candidates(
        &self,
        tx: &mut Tx,
        reach: &Reach,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Place>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let before = after.map_or(Uuid::max(), Place::id);
        let at = after.and_then(|place| if let Place::At(at, _) = place { Some(at) } else { None });
        match self {
            Self::State(state) => by_state(tx, reach, *state, before, limit).await,
            Self::Tag(tag) => by_tag(tx, reach, tag, before, limit).await,
            Self::Request(by, from, until) => {
                // A purge accepted at exactly that time is not before it.
                let to = at.map(|at| (at, before)).or_else(|| until.map(|until| (until, Uuid::nil())));
                let by = by.as_deref();
                by_request(tx, reach, by, *from, to, limit).await
            }
            Self::End(from) => by_end(tx, reach, *from, at.map(|at| (at, before)), limit).await,
        }
    }
}

async fn by_state(
    tx: &mut Tx,
    reach: &Reach,
    state: Option<PurgeState>,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Place>, StoreError> {
    let ids = if reach.is_everywhere() && state.is_none() {
        sqlx::query_scalar!(
            "-- list_all_purges
            select id from purges where id < $1 order by id desc limit $2",
            before,
            limit
        )
        .all(tx)
        .await
    } else {
        sqlx::query_scalar!(
            r#"-- list_purges_by_state
            select found.id as "id!"
            from orgs o
            cross join unnest($2::text[]) as s (state)
            cross join lateral (
                select id from purges
                where org = o.name and state = s.state::purge_state and id < $3
                order by id desc
                limit $4
            ) found
            where $1::text[] is null or o.name = any($1)
            order by found.id desc
            limit $4"#,
            reach.orgs(),
            &states(state),
            before,
            limit
        )
        .all(tx)
        .await
    };
    Ok(ids?.into_iter().map(Place::Id).collect())
}

async fn by_tag(
    tx: &mut Tx,
    reach: &Reach,
    tag: &str,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Place>, StoreError> {
    let ids = sqlx::query_scalar!(
        r#"-- list_tagged_purges
        select found.purge_id as "id!"
        from orgs o
        cross join lateral (
            select purge_id from purge_tags
            where org = o.name and tag = $1 and purge_id < $2
            order by purge_id desc
            limit $4
        ) found
        where $3::text[] is null or o.name = any($3)
        order by found.purge_id desc
        limit $4"#,
        tag,
        before,
        reach.orgs(),
        limit
    )
    .all(tx)
    .await?;
    Ok(ids.into_iter().map(Place::Id).collect())
}

/// A place in time.
struct Row {
    at: SqlTimestamp,
    id: Uuid,
}

impl From<Row> for Place {
    fn from(row: Row) -> Self {
        Self::At(row.at.to_jiff(), row.id)
    }
}

async fn by_request(
    tx: &mut Tx,
    reach: &Reach,
    requested_by: Option<&str>,
    from: Option<Timestamp>,
    to: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<Place>, StoreError> {
    let (at, before) = to.map_or((None, Uuid::max()), |(at, before)| (Some(at), before));
    let rows = match requested_by {
        None => {
            sqlx::query_as!(
                Row,
                r#"-- list_purges_by_time
                select found.created_at as "at!", found.purge_id as "id!"
                from orgs o
                cross join lateral (
                    select created_at, purge_id from purge_requests
                    where org = o.name and created_at >= coalesce($2::timestamptz, '-infinity')
                      and (created_at, purge_id) < (coalesce($3::timestamptz, 'infinity'), $4)
                    order by created_at desc, purge_id desc
                    limit $5
                ) found
                where $1::text[] is null or o.name = any($1)
                order by 1 desc, 2 desc
                limit $5"#,
                reach.orgs(),
                sql(from) as _,
                sql(at) as _,
                before,
                limit
            )
            .all(tx)
            .await
        }
        Some(requested_by) => {
            sqlx::query_as!(
                Row,
                r#"-- list_purges_by_requester
                select found.created_at as "at!", found.purge_id as "id!"
                from orgs o
                cross join lateral (
                    select created_at, purge_id from purge_requests
                    where org = o.name and requested_by = $6 and created_at >= coalesce($2::timestamptz, '-infinity')
                      and (created_at, purge_id) < (coalesce($3::timestamptz, 'infinity'), $4)
                    order by created_at desc, purge_id desc
                    limit $5
                ) found
                where $1::text[] is null or o.name = any($1)
                order by 1 desc, 2 desc
                limit $5"#,
                reach.orgs(),
                sql(from) as _,
                sql(at) as _,
                before,
                limit,
                requested_by
            )
            .all(tx)
            .await
        }
    };
    Ok(rows?.into_iter().map(Place::from).collect())
}

async fn by_end(
    tx: &mut Tx,
    reach: &Reach,
    from: Timestamp,
    to: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<Place>, StoreError> {
    let (at, before) = to.map_or((None, Uuid::max()), |(at, before)| (Some(at), before));
    let rows = sqlx::query_as!(
        Row,
        r#"-- list_purges_by_end
        select found.finished_at as "at!", found.id as "id!"
        from orgs o
        cross join lateral (
            select finished_at, id from purges
            where org = o.name and finished_at >= $2
              and (finished_at, id) < (coalesce($3::timestamptz, 'infinity'), $4)
            order by finished_at desc, id desc
            limit $5
        ) found
        where $1::text[] is null or o.name = any($1)
        order by 1 desc, 2 desc
        limit $5"#,
        reach.orgs(),
        sql(Some(from)) as _,
        sql(at) as _,
        before,
        limit
    )
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(Place::from).collect())
}

/// The words of the states that are wanted.
fn states(wanted: Option<PurgeState>) -> Vec<String> {
    PurgeState::ALL
        .iter()
        .filter(|state| wanted.is_none_or(|wanted| wanted == **state))
        .map(ToString::to_string)
        .collect()
}
