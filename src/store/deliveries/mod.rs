//! Deliveries: events on their way to a receiver.

pub mod list;
pub mod read;
pub mod redeliver;

use std::time::Duration;

use uuid::Uuid;

use super::{Store, StoreError};
use crate::domain::state::DeliveryState;
use crate::store::tx::{Rows as _, Writes as _};

/// The notification that tells of new deliveries; no org can have this name.
pub(super) const WAKE: &str = "#deliveries";

/// The endpoint of every delivery: the operator's own receiver.
pub(super) const RETENTION: &str = "retention";

/// True for the notification that tells of new deliveries.
pub fn is_wake(payload: &str) -> bool {
    payload == WAKE
}

/// A delivery that was claimed for one attempt.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: Uuid,
    pub epoch: i64,
    /// The event: the same `webhook-id` at every attempt.
    pub event_id: Uuid,
    /// The bytes to sign and send.
    pub payload: String,
    /// Attempts that were recorded so far, and this one.
    pub attempt: u32,
    /// Those among them that count for the schedule.
    pub tries: u32,
}

/// An attempt, as it is recorded.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub end: End,
    pub latency: Duration,
    /// How the receiver's answer begins, where there was one.
    pub response: Option<String>,
}

/// How an attempt went.
#[derive(Debug, Clone)]
pub enum End {
    /// Taken, with this status.
    Delivered(u16),
    /// Not taken; again after this time, or never (`None`): the delivery is dead.
    Failed {
        again: Option<Duration>,
        /// The status, where there was an answer.
        status: Option<u16>,
        error: String,
    },
}

impl Store {
    /// Claims up to `limit` deliveries that are due, and tells how long until the next one is.
    ///
    /// An attempt counts when it is recorded: a process that died while it sent uses up none. But each claim of which
    /// nothing was recorded doubles the lease of the next, up to 256 times, so that a delivery that ends whoever sends it
    /// does so less and less often.
    pub async fn claim_deliveries(
        &self,
        limit: i64,
        lease: Duration,
    ) -> Result<(Vec<Delivery>, Option<Duration>), StoreError> {
        self.retried(|| self.try_claim_deliveries(limit, lease)).await
    }

    async fn try_claim_deliveries(
        &self,
        limit: i64,
        lease: Duration,
    ) -> Result<(Vec<Delivery>, Option<Duration>), StoreError> {
        let mut tx = self.begin("claim_deliveries").await?;
        let rows = sqlx::query!(
            "-- claim_deliveries
            with due as (
                select id from deliveries
                where state = 'pending' and run_at <= clock_timestamp()
                  and (lease_until is null or lease_until < clock_timestamp())
                order by run_at
                limit $1
                for update skip locked
            )
            update deliveries d
            set lease_until = clock_timestamp() + make_interval(secs => $2 * power(2, least(d.epoch - d.attempt, 8))),
                epoch = d.epoch + 1
            from due
            where d.id = due.id
            returning d.id, d.epoch, d.event_id, d.payload, d.attempt, d.schedule_from",
            limit,
            lease.as_secs_f64()
        )
        .all(&mut tx)
        .await?;
        let next = sqlx::query_scalar!(
            r#"-- next_delivery
            select extract(epoch from run_at - clock_timestamp())::float8 as "wait!"
            from deliveries
            where state = 'pending' and lease_until is null
            order by run_at
            limit 1"#
        )
        .maybe(&mut tx)
        .await?;
        tx.commit().await?;
        let deliveries = rows
            .into_iter()
            .map(|row| {
                let attempt = row.attempt.saturating_add(1);
                let number = |of: i32| u32::try_from(of).unwrap_or_default();
                Delivery {
                    id: row.id,
                    epoch: row.epoch,
                    event_id: row.event_id,
                    payload: row.payload,
                    attempt: number(attempt),
                    tries: number(attempt - row.schedule_from),
                }
            })
            .collect();
        Ok((deliveries, next.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default())))
    }

    /// Deliveries that wait for an attempt, at most so many are counted.
    pub async fn waiting_deliveries(&self, at_most: i64) -> Result<i64, StoreError> {
        let mut tx = self.begin("waiting_deliveries").await?;
        sqlx::query_scalar!(
            r#"-- waiting_deliveries
            select count(*) as "waiting!" from (select from deliveries where state = 'pending' limit $1) waiting"#,
            at_most
        )
        .one(&mut tx)
        .await
    }

    /// Lets go of a delivery whose attempt was cut: another process sends it at once.
    pub async fn give_back_delivery(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let mut tx = self.begin("give_back_delivery").await?;
        sqlx::query!(
            "-- give_back_delivery
            update deliveries set lease_until = null where id = $1 and epoch = $2 and state = 'pending'",
            delivery.id,
            delivery.epoch
        )
        .run(&mut tx)
        .await?;
        tx.will_wake(WAKE);
        tx.commit().await
    }

    /// Records an attempt, and tells how long until the next; one whose lease was lost changes nothing. Where somebody wanted
    /// the delivery sent again while it was under way, a failure is no reason to wait, nor to give up.
    pub async fn record_attempt(
        &self,
        delivery: &Delivery,
        attempt: &Attempt,
    ) -> Result<Option<Duration>, StoreError> {
        self.retried(|| self.try_record_attempt(delivery, attempt)).await
    }

    async fn try_record_attempt(
        &self,
        delivery: &Delivery,
        attempt: &Attempt,
    ) -> Result<Option<Duration>, StoreError> {
        let (state, again, status, error) = match &attempt.end {
            End::Delivered(status) => (DeliveryState::Delivered, None, Some(*status), None),
            End::Failed { again: Some(again), status, error } => {
                (DeliveryState::Pending, Some(*again), *status, Some(error))
            }
            End::Failed { again: None, status, error } => (DeliveryState::Dead, None, *status, Some(error)),
        };
        let mut tx = self.begin("record_attempt").await?;
        let recorded = sqlx::query!(
            r#"-- record_attempt
            update deliveries
            set state = case when $3::text = 'dead' and schedule_from > attempt then 'pending' else $3::text::delivery_state end,
                run_at = clock_timestamp()
                    + make_interval(secs => case when schedule_from > attempt then 0 else $4::float8 end),
                attempt = attempt + 1, last_status = $5, last_error = $6, lease_until = null,
                delivered_at = case when $3 = 'delivered' then clock_timestamp() end
            where id = $1 and epoch = $2
            returning attempt, state as "state: DeliveryState",
                      extract(epoch from run_at - clock_timestamp())::float8 as "wait!""#,
            delivery.id,
            delivery.epoch,
            state.as_str(),
            again.unwrap_or_default().as_secs_f64(),
            status.map(i32::from),
            error
        )
        .maybe(&mut tx)
        .await?;
        let Some(recorded) = recorded else {
            return Err(StoreError::LeaseLost { what: "delivery", id: delivery.id });
        };
        sqlx::query!(
            "-- log_attempt
            insert into delivery_attempts (delivery_id, attempt, at, status, latency_seconds, response, error)
            values ($1, $2, clock_timestamp() - make_interval(secs => $4), $3, $4, $5, $6)",
            delivery.id,
            recorded.attempt,
            status.map(i32::from),
            attempt.latency.as_secs_f64(),
            attempt.response,
            error
        )
        .exactly(&mut tx, 1)
        .await?;
        tx.commit().await?;
        let is_pending = recorded.state == DeliveryState::Pending;
        Ok(is_pending.then(|| Duration::try_from_secs_f64(recorded.wait).unwrap_or_default()))
    }
}
