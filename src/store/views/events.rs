//! The history of a purge: its events in the order in which they happened.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::events::EventType;
use crate::domain::keys::Reach;
use crate::store::purges::load::is_there;
use crate::store::tx::Rows as _;
use crate::store::{Store, StoreError};

/// One event of a purge.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// Its number within the purge, from 1, without gaps.
    pub event_no: i32,
    pub id: Uuid,
    pub event: EventType,
    pub at: Timestamp,
    pub actor: String,
    pub request_id: Option<String>,
    /// Our id of the job that it is about.
    pub job: Option<Uuid>,
    /// Genesys' id of it.
    pub upstream_job_id: Option<String>,
    /// Its data.
    pub payload: Value,
}

impl Store {
    /// Up to `limit` events of a purge after the number `after`, oldest first; `None` where there is no such purge within
    /// the reach.
    pub async fn events_of(
        &self,
        reach: &Reach,
        purge: Uuid,
        after: i32,
        limit: i64,
    ) -> Result<Option<Vec<EventRow>>, StoreError> {
        let mut tx = self.begin_request("events_of").await?;
        if !is_there(&mut tx, reach, purge).await? {
            return Ok(None);
        }
        let rows = sqlx::query_as!(
            Row,
            r#"-- events_of
            select e.purge_id as "purge_id!", e.event_no as "event_no!", e.id, e.type as "event: EventType", e.at, e.actor,
                   e.request_id, e.job_id, e.payload, j.upstream_job_id as "upstream_job_id?"
            from events e
            left join jobs j on j.id = e.job_id
            where e.purge_id = $1 and e.event_no > $2
            order by e.event_no
            limit $3"#,
            purge,
            after,
            limit
        )
        .all(&mut tx)
        .await?;
        Ok(Some(rows.into_iter().map(EventRow::from).collect()))
    }
}

/// An event of a purge as it is stored.
pub(super) struct Row {
    pub(super) purge_id: Uuid,
    pub(super) event_no: i32,
    pub(super) id: Uuid,
    pub(super) event: EventType,
    pub(super) at: SqlTimestamp,
    pub(super) actor: String,
    pub(super) request_id: Option<String>,
    pub(super) job_id: Option<Uuid>,
    pub(super) payload: Value,
    pub(super) upstream_job_id: Option<String>,
}

impl From<Row> for EventRow {
    fn from(row: Row) -> Self {
        Self {
            event_no: row.event_no,
            id: row.id,
            event: row.event,
            at: row.at.to_jiff(),
            actor: row.actor,
            request_id: row.request_id,
            job: row.job_id,
            upstream_job_id: row.upstream_job_id,
            payload: row.payload,
        }
    }
}
