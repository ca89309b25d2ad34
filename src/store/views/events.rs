//! The history of a purge: its events in the order in which they happened.

use jiff::Timestamp;
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
        let rows = sqlx::query!(
            r#"-- events_of
            select e.event_no as "event_no!", e.id, e.type as "event: EventType", e.at, e.actor, e.request_id, e.job_id, e.payload,
                   j.upstream_job_id as "upstream_job_id?"
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
        let events = rows.into_iter().map(|row| EventRow {
            event_no: row.event_no,
            id: row.id,
            event: row.event,
            at: row.at.to_jiff(),
            actor: row.actor,
            request_id: row.request_id,
            job: row.job_id,
            upstream_job_id: row.upstream_job_id,
            payload: row.payload,
        });
        Ok(Some(events.collect()))
    }
}
