//! Lists deliveries, newest first, by indexes that begin with the org or the purge; see
//! `migrations/0022_webhook_deliveries.sql`. No planner takes `org is null` for one value of the index, so those of no
//! org are ordered by it as well.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use super::RETENTION;
use super::read::{DeliveryRow, load};
use crate::domain::keys::Reach;
use crate::domain::state::DeliveryState;
use crate::store::purges::load::is_there;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// Which deliveries are asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub state: Option<DeliveryState>,
    /// Those about this purge: its end, or a job that carried some of it.
    pub purge: Option<Uuid>,
    /// Those that were written then or later.
    pub since: Option<Timestamp>,
    pub endpoint: Option<String>,
}

/// The position of a delivery in the list.
pub type Place = (Timestamp, Uuid);

/// How many deliveries of a purge or an endpoint are filtered at once.
const CANDIDATES: usize = 5000;

impl Store {
    /// Up to `limit` deliveries before `before`, and the place to go on before, unless these were all. That, too, is the place
    /// of a delivery within the reach.
    pub async fn list_deliveries(
        &self,
        reach: &Reach,
        wanted: &Wanted,
        before: Option<Place>,
        limit: usize,
    ) -> Result<(Vec<DeliveryRow>, Option<Place>), StoreError> {
        let is_endpoint = |endpoint: &String| endpoint == RETENTION || Uuid::try_parse(endpoint).is_ok();
        if wanted.endpoint.as_ref().is_some_and(|endpoint| !is_endpoint(endpoint)) {
            return Ok((Vec::new(), None));
        }
        let mut tx = self.begin_request("list_deliveries").await?;
        let (ids, next) = match wanted.purge {
            Some(purge) if !is_there(&mut tx, reach, purge).await? => return Ok((Vec::new(), None)),
            Some(purge) => of_purge(&mut tx, purge, wanted, before, limit).await?,
            None if wanted.endpoint.is_some() => of_endpoint(&mut tx, reach, wanted, before, limit).await?,
            None => {
                let found = of_orgs(&mut tx, reach, wanted, before, number(limit.saturating_add(1))).await?;
                let next = found.get(limit.saturating_sub(1)).filter(|_| found.len() > limit).copied();
                (found.into_iter().take(limit).map(|(_, id)| id).collect(), next)
            }
        };
        let mut deliveries = load(&mut tx, reach, &ids).await?;
        // A delivery may have changed its state between the two statements.
        deliveries.retain(|delivery| wanted.state.is_none_or(|state| state == delivery.state));
        Ok((deliveries, next))
    }
}

/// The newest of each org, of which the newest are the page.
async fn of_orgs(
    tx: &mut Tx,
    reach: &Reach,
    wanted: &Wanted,
    before: Option<Place>,
    limit: i64,
) -> Result<Vec<Place>, StoreError> {
    if let Some(state) = wanted.state {
        return of_orgs_in_state(tx, reach, wanted, state, (before, limit)).await;
    }
    let (before_at, before_id) = before.unzip();
    let rows = sqlx::query!(
        r#"-- list_deliveries
        select found.created_at as "created_at!", found.id as "id!"
        from (
            select of_org.created_at, of_org.id
            from orgs o
            cross join lateral (
                select created_at, id from deliveries
                where org = o.name and created_at >= coalesce($2::timestamptz, '-infinity')
                  and (created_at, id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, $6))
                order by created_at desc, id desc
                limit $5
            ) of_org
            where $1::text[] is null or o.name = any($1)
            union all
            (
                select created_at, id from deliveries
                where $1::text[] is null and org is null and created_at >= coalesce($2::timestamptz, '-infinity')
                  and (created_at, id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, $6))
                order by org desc, created_at desc, id desc
                limit $5
            )
        ) found
        order by 1 desc, 2 desc
        limit $5"#,
        reach.orgs(),
        wanted.since.map(ToSqlx::to_sqlx) as _,
        before_at.map(ToSqlx::to_sqlx) as _,
        before_id,
        limit,
        Uuid::max()
    )
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.created_at.to_jiff(), row.id)).collect())
}

/// The same of each org and state.
async fn of_orgs_in_state(
    tx: &mut Tx,
    reach: &Reach,
    wanted: &Wanted,
    state: DeliveryState,
    (before, limit): (Option<Place>, i64),
) -> Result<Vec<Place>, StoreError> {
    let (before_at, before_id) = before.unzip();
    let rows = sqlx::query!(
        r#"-- list_deliveries_in_state
        select found.created_at as "created_at!", found.id as "id!"
        from (
            select of_org.created_at, of_org.id
            from orgs o
            cross join lateral (
                select created_at, id from deliveries
                where org = o.name and state = $7::text::delivery_state
                  and created_at >= coalesce($2::timestamptz, '-infinity')
                  and (created_at, id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, $6))
                order by created_at desc, id desc
                limit $5
            ) of_org
            where $1::text[] is null or o.name = any($1)
            union all
            (
                select created_at, id from deliveries
                where $1::text[] is null and org is null and state = $7::text::delivery_state
                  and created_at >= coalesce($2::timestamptz, '-infinity')
                  and (created_at, id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, $6))
                order by org desc, created_at desc, id desc
                limit $5
            )
        ) found
        order by 1 desc, 2 desc
        limit $5"#,
        reach.orgs(),
        wanted.since.map(ToSqlx::to_sqlx) as _,
        before_at.map(ToSqlx::to_sqlx) as _,
        before_id,
        limit,
        Uuid::max(),
        state.as_str()
    )
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.created_at.to_jiff(), row.id)).collect())
}

/// Those of a purge within the reach: its deliveries belong to its org.
async fn of_purge(
    tx: &mut Tx,
    purge: Uuid,
    wanted: &Wanted,
    before: Option<Place>,
    limit: usize,
) -> Result<(Vec<Uuid>, Option<Place>), StoreError> {
    let (before_at, before_id) = before.unzip();
    let at_once =
        if wanted.state.is_some() || wanted.endpoint.is_some() { CANDIDATES.max(limit) } else { limit };
    let rows = sqlx::query!(
        r#"-- list_deliveries_of_purge
        select p.created_at, p.delivery_id,
               ($7::text is null or d.state::text = $7) and ($8::text is null or d.endpoint = $8) as "is_wanted!"
        from (
            select created_at, delivery_id from purge_deliveries
            where purge_id = $1 and created_at >= coalesce($2::timestamptz, '-infinity')
              and (created_at, delivery_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, $6))
            order by created_at desc, delivery_id desc
            limit $5
        ) p
        join deliveries d on d.id = p.delivery_id
        order by p.created_at desc, p.delivery_id desc"#,
        purge,
        wanted.since.map(ToSqlx::to_sqlx) as _,
        before_at.map(ToSqlx::to_sqlx) as _,
        before_id,
        number(at_once.saturating_add(1)),
        Uuid::max(),
        wanted.state.map(DeliveryState::as_str),
        wanted.endpoint
    )
    .all(tx)
    .await?;
    let rows = rows.into_iter().map(|row| ((row.created_at.to_jiff(), row.delivery_id), row.is_wanted));
    Ok(chosen(&rows.collect::<Vec<_>>(), at_once, limit))
}

/// Those for one endpoint, within the reach.
async fn of_endpoint(
    tx: &mut Tx,
    reach: &Reach,
    wanted: &Wanted,
    before: Option<Place>,
    limit: usize,
) -> Result<(Vec<Uuid>, Option<Place>), StoreError> {
    let (before_at, before_id) = before.unzip();
    let is_whole = wanted.state.is_none() && reach.is_everywhere();
    let at_once = if is_whole { limit } else { CANDIDATES.max(limit) };
    let rows = sqlx::query!(
        r#"-- list_deliveries_of_endpoint
        select created_at, id,
               ($6::text is null or state::text = $6) and ($7::text[] is null or org = any($7)) as "is_wanted!"
        from deliveries
        where endpoint = $1 and created_at >= coalesce($2::timestamptz, '-infinity')
          and (created_at, id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, $8))
        order by created_at desc, id desc
        limit $5"#,
        wanted.endpoint,
        wanted.since.map(ToSqlx::to_sqlx) as _,
        before_at.map(ToSqlx::to_sqlx) as _,
        before_id,
        number(at_once.saturating_add(1)),
        wanted.state.map(DeliveryState::as_str),
        reach.orgs(),
        Uuid::max()
    )
    .all(tx)
    .await?;
    let rows = rows.into_iter().map(|row| ((row.created_at.to_jiff(), row.id), row.is_wanted));
    Ok(chosen(&rows.collect::<Vec<_>>(), at_once, limit))
}

/// The matching rows among those read, up to a page, and the position at which to continue.
fn chosen(rows: &[(Place, bool)], at_once: usize, limit: usize) -> (Vec<Uuid>, Option<Place>) {
    let (mut ids, mut next) = (Vec::new(), None);
    for (looked_at, (place, is_wanted)) in (1..).zip(rows) {
        if looked_at > at_once || ids.len() == limit {
            break;
        }
        ids.extend(is_wanted.then_some(place.1));
        next = (looked_at < rows.len()).then_some(*place);
    }
    (ids, next)
}

fn number(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}
