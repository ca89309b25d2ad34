//! The feed: every event in the order of its number, limited to the caller's reach.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::events::EventType;
use crate::domain::keys::Reach;
use crate::store::tx::Rows as _;
use crate::store::{Store, StoreError, Urgency};

/// One event of the feed.
#[derive(Debug, Clone)]
pub struct FeedRow {
    /// Its number, by the order of commits.
    pub no: i64,
    pub id: Uuid,
    pub event: EventType,
    pub at: Timestamp,
    pub actor: String,
    pub request_id: Option<String>,
    /// None: it is of no org, and only who reaches every org sees it.
    pub org: Option<String>,
    pub purge: Option<Uuid>,
    /// Its number within the purge.
    pub event_no: Option<i32>,
    /// Our id of the job that it is about.
    pub job: Option<Uuid>,
    /// Genesys' id of it.
    pub upstream_job_id: Option<String>,
    pub hold: Option<Uuid>,
    /// Its data.
    pub payload: Value,
}

impl Store {
    /// Up to `limit` events with numbers after `after`, in order. Those of orgs are found by the index that begins with the org,
    /// and each is looked up by itself, whatever the planner thinks of the tables.
    pub async fn feed(&self, reach: &Reach, after: i64, limit: i64) -> Result<Vec<FeedRow>, StoreError> {
        let mut tx = self.single_request("feed", Urgency::Ordinary).await?;
        let rows = match reach.orgs() {
            None => {
                sqlx::query_as!(
                    Row,
                    r#"-- feed
                    select n.no, e.id, e.type as "event: EventType", e.at, e.actor, e.request_id, e.org, e.purge_id, e.event_no,
                           e.job_id, j.upstream_job_id as "upstream_job_id?", e.hold_id, e.payload
                    from event_numbers n
                    join events e on e.id = n.event_id
                    left join jobs j on j.id = e.job_id
                    where n.no > $1
                    order by n.no
                    limit $2"#,
                    after,
                    limit
                )
                .all(&mut tx)
                .await?
            }
            Some(orgs) => {
                sqlx::query_as!(
                    Row,
                    r#"-- feed_of_orgs
                    select n.no as "no!", e.id as "id!", e.type as "event!: EventType", e.at as "at!", e.actor as "actor!",
                           e.request_id as "request_id?", e.org as "org?", e.purge_id as "purge_id?", e.event_no as "event_no?",
                           e.job_id as "job_id?", j.upstream_job_id as "upstream_job_id?", e.hold_id as "hold_id?",
                           e.payload as "payload!"
                    from (
                        select own.no, own.event_id
                        from (select distinct unnest($3::text[]) as name) o
                        cross join lateral (
                            select no, event_id from event_numbers where org = o.name and no + 0 > $1 order by no + 0 limit $2
                        ) own
                        order by own.no
                        limit $2
                    ) n
                    cross join lateral (select * from events where id = n.event_id limit 1) e
                    left join lateral (select upstream_job_id from jobs where id = e.job_id limit 1) j on true
                    order by n.no"#,
                    after,
                    limit,
                    orgs
                )
                .all(&mut tx)
                .await?
            }
        };
        Ok(rows.into_iter().map(FeedRow::from).collect())
    }

    /// The highest number given; 0 if none was.
    pub async fn feed_end(&self) -> Result<i64, StoreError> {
        let mut tx = self.single_request("feed_end", Urgency::Ordinary).await?;
        sqlx::query_scalar!("-- feed_end\nselect coalesce(max(no), 0) as \"no!\" from event_numbers")
            .one(&mut tx)
            .await
    }

    /// The number after which events are of this time or later. Numbers have no gaps, so it is found by binary search.
    pub async fn feed_before(&self, time: Timestamp) -> Result<i64, StoreError> {
        let mut tx = self.single_request("feed_before", Urgency::Ordinary).await?;
        sqlx::query_scalar!(
            r#"-- feed_before
            with recursive search (earlier, later) as (
                select coalesce(min(no), 1) - 1, coalesce(max(no), 0) + 1 from event_numbers
                union all
                select case when n.stamped_at < $1 then n.no else s.earlier end,
                       case when n.stamped_at < $1 then s.later else n.no end
                from search s
                join event_numbers n on n.no = (s.earlier + s.later) / 2
                where s.later - s.earlier > 1
            )
            select max(earlier) as "no!" from search"#,
            time.to_sqlx() as _
        )
        .one(&mut tx)
        .await
    }
}

/// An event as it is stored.
struct Row {
    no: i64,
    id: Uuid,
    event: EventType,
    at: SqlTimestamp,
    actor: String,
    request_id: Option<String>,
    org: Option<String>,
    purge_id: Option<Uuid>,
    event_no: Option<i32>,
    job_id: Option<Uuid>,
    upstream_job_id: Option<String>,
    hold_id: Option<Uuid>,
    payload: Value,
}

impl From<Row> for FeedRow {
    fn from(row: Row) -> Self {
        Self {
            no: row.no,
            id: row.id,
            event: row.event,
            at: row.at.to_jiff(),
            actor: row.actor,
            request_id: row.request_id,
            org: row.org,
            purge: row.purge_id,
            event_no: row.event_no,
            job: row.job_id,
            upstream_job_id: row.upstream_job_id,
            hold: row.hold_id,
            payload: row.payload,
        }
    }
}
