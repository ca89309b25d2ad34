//! Deliveries: events on their way to a receiver.

use std::time::Duration;

use uuid::Uuid;

use super::{Store, StoreError};
use crate::store::tx::{Rows as _, Writes as _};

/// The notification that tells of new deliveries; no org can have this name.
pub(super) const WAKE: &str = "#deliveries";

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
}

/// How an attempt went.
#[derive(Debug, Clone)]
pub enum Attempt {
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
            returning d.id, d.epoch, d.event_id, d.payload, d.attempt",
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
            .map(|row| Delivery {
                id: row.id,
                epoch: row.epoch,
                event_id: row.event_id,
                payload: row.payload,
                attempt: u32::try_from(row.attempt).unwrap_or(u32::MAX).saturating_add(1),
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

    /// Records an attempt; one whose lease was lost changes nothing.
    pub async fn record_attempt(&self, delivery: &Delivery, attempt: &Attempt) -> Result<(), StoreError> {
        self.retried(|| self.try_record_attempt(delivery, attempt)).await
    }

    async fn try_record_attempt(&self, delivery: &Delivery, attempt: &Attempt) -> Result<(), StoreError> {
        let (state, again, status, error) = match attempt {
            Attempt::Delivered(status) => ("delivered", None, Some(*status), None),
            Attempt::Failed { again: Some(again), status, error } => {
                ("pending", Some(*again), *status, Some(error))
            }
            Attempt::Failed { again: None, status, error } => ("dead", None, *status, Some(error)),
        };
        let mut tx = self.begin("record_attempt").await?;
        let done = sqlx::query!(
            "-- record_attempt
            update deliveries
            set state = $3::text::delivery_state, attempt = attempt + 1, run_at = clock_timestamp() + make_interval(secs => $4),
                last_status = $5, last_error = $6, lease_until = null,
                delivered_at = case when $3 = 'delivered' then clock_timestamp() end
            where id = $1 and epoch = $2",
            delivery.id,
            delivery.epoch,
            state,
            again.unwrap_or_default().as_secs_f64(),
            status.map(i32::from),
            error
        )
        .run(&mut tx)
        .await?;
        tx.commit().await?;
        if done == 0 {
            return Err(StoreError::LeaseLost { what: "delivery", id: delivery.id });
        }
        Ok(())
    }
}
