//! Reads deliveries and the results of their attempts.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use crate::domain::events::EventType;
use crate::domain::keys::Reach;
use crate::domain::state::DeliveryState;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// How many attempts of a delivery are shown: it may be redelivered any number of times.
const ATTEMPTS: i64 = 100;

/// A delivery, as callers see it.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    pub id: Uuid,
    /// The `webhook-id`.
    pub event_id: Uuid,
    pub event: EventType,
    pub org: Option<String>,
    /// The purge that it is the end of.
    pub purge: Option<Uuid>,
    /// Genesys' id of the job that it is the end of.
    pub upstream_job_id: Option<String>,
    pub endpoint: String,
    /// The bytes that are signed and sent.
    pub payload: String,
    pub state: DeliveryState,
    /// Attempts that were recorded.
    pub attempt: i32,
    pub created_at: Timestamp,
    /// When it is due, if it is pending.
    pub run_at: Timestamp,
    pub delivered_at: Option<Timestamp>,
    pub last_status: Option<i32>,
    pub last_error: Option<String>,
}

/// The result of one attempt.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    pub attempt: i32,
    /// When it began.
    pub at: Timestamp,
    pub status: Option<i32>,
    pub latency_seconds: f64,
    /// The start of the receiver's answer.
    pub response: Option<String>,
    pub error: Option<String>,
}

impl Store {
    /// A delivery within the reach, and its last attempts, newest first.
    pub async fn delivery(
        &self,
        reach: &Reach,
        id: Uuid,
    ) -> Result<Option<(DeliveryRow, Vec<AttemptRow>)>, StoreError> {
        let mut tx = self.begin_request("delivery").await?;
        let Some(delivery) = load(&mut tx, reach, &[id]).await?.pop() else { return Ok(None) };
        let attempts = sqlx::query!(
            "-- attempts_of_delivery
            select attempt, at, status, latency_seconds, response, error
            from delivery_attempts
            where delivery_id = $1
            order by attempt desc
            limit $2",
            id,
            ATTEMPTS
        )
        .all(&mut tx)
        .await?;
        let attempts = attempts.into_iter().map(|row| AttemptRow {
            attempt: row.attempt,
            at: row.at.to_jiff(),
            status: row.status,
            latency_seconds: row.latency_seconds,
            response: row.response,
            error: row.error,
        });
        Ok(Some((delivery, attempts.collect())))
    }
}

/// Those of the deliveries with these ids that are within the reach, newest first. Deliveries without an org are
/// within a reach of every org.
pub(super) async fn load(tx: &mut Tx, reach: &Reach, ids: &[Uuid]) -> Result<Vec<DeliveryRow>, StoreError> {
    let rows = sqlx::query!(
        r#"-- deliveries
        select d.id, d.event_id, e.type as "event: EventType", d.org, e.purge_id,
               j.upstream_job_id as "upstream_job_id?", d.endpoint, d.payload, d.state as "state: DeliveryState",
               d.attempt, d.created_at, coalesce(d.due_at, d.run_at) as "run_at!: SqlTimestamp", d.delivered_at, d.last_status, d.last_error
        from deliveries d
        join events e on e.id = d.event_id
        left join jobs j on j.id = e.job_id
        where d.id = any($1) and ($2::text[] is null or d.org = any($2))
        order by d.created_at desc, d.id desc"#,
        ids,
        reach.orgs()
    )
    .all(tx)
    .await?;
    let deliveries = rows.into_iter().map(|row| DeliveryRow {
        id: row.id,
        event_id: row.event_id,
        event: row.event,
        org: row.org,
        purge: row.purge_id,
        upstream_job_id: row.upstream_job_id,
        endpoint: row.endpoint,
        payload: row.payload,
        state: row.state,
        attempt: row.attempt,
        created_at: row.created_at.to_jiff(),
        run_at: row.run_at.to_jiff(),
        delivered_at: row.delivered_at.map(SqlTimestamp::to_jiff),
        last_status: row.last_status,
        last_error: row.last_error,
    });
    Ok(deliveries.collect())
}
