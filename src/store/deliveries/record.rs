//! Records attempts, all that ended together in one transaction.

use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::claim::Delivery;
use super::health::{self, Verdict};
use crate::domain::state::DeliveryState;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// An attempt, as it is recorded.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub delivery: Delivery,
    pub end: End,
    pub latency: Duration,
    /// The start of the receiver's answer, if there was one.
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
        /// The status, if there was an answer.
        status: Option<u16>,
        error: String,
        /// The receiver answered 410.
        is_gone: bool,
    },
}

/// How the service treats those who fail.
#[derive(Debug, Clone)]
pub struct Patience {
    /// The waits between attempts.
    pub schedule: Vec<Duration>,
    /// An endpoint that only failed for this long is disabled.
    pub disable_after: Duration,
}

/// What was recorded.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// How long until one of them is sent again.
    pub next: Option<Duration>,
    /// Endpoints that were disabled, and why.
    pub disabled: Vec<(Uuid, String)>,
    /// Attempts whose lease was lost: another process sends these.
    pub lost: usize,
}

/// The columns of a delivery after an attempt.
#[derive(Serialize)]
struct Row<'a> {
    id: Uuid,
    epoch: i64,
    state: DeliveryState,
    again: f64,
    status: Option<u16>,
    error: Option<&'a str>,
    latency: f64,
    response: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        let (state, again, status, error) = match &attempt.end {
            End::Delivered(status) => (DeliveryState::Delivered, None, Some(*status), None),
            End::Failed { again: Some(again), status, error, .. } => {
                (DeliveryState::Pending, Some(*again), *status, Some(error.as_str()))
            }
            End::Failed { again: None, status, error, .. } => {
                (DeliveryState::Dead, None, *status, Some(error.as_str()))
            }
        };
        Self {
            id: attempt.delivery.id,
            epoch: attempt.delivery.epoch,
            state,
            again: again.unwrap_or_default().as_secs_f64(),
            status,
            error,
            latency: attempt.latency.as_secs_f64(),
            response: attempt.response.as_deref(),
        }
    }
}

impl Store {
    /// Records attempts; one whose lease was lost changes nothing. If a redelivery was requested during the attempt, a
    /// failure causes no wait, and the delivery is not given up.
    pub async fn record_attempts(
        &self,
        attempts: &[Attempt],
        patience: &Patience,
    ) -> Result<Recorded, StoreError> {
        if attempts.is_empty() {
            return Ok(Recorded::default());
        }
        match self.retried(|| self.try_record_attempts(attempts, patience)).await {
            // One of them may be to blame: the others are not to suffer for it.
            Err(error) if attempts.len() > 1 && !error.is_outage() => {
                self.record_alone(attempts, patience).await
            }
            recorded => recorded,
        }
    }

    async fn record_alone(&self, attempts: &[Attempt], patience: &Patience) -> Result<Recorded, StoreError> {
        let mut all = Recorded::default();
        for attempt in attempts {
            match self.retried(|| self.try_record_attempts(std::slice::from_ref(attempt), patience)).await {
                Ok(recorded) => {
                    all.next = all.next.into_iter().chain(recorded.next).min();
                    all.disabled.extend(recorded.disabled);
                    all.lost += recorded.lost;
                }
                Err(error) if error.is_outage() => return Err(error),
                Err(error) => {
                    tracing::error!(delivery = %attempt.delivery.id, %error, "a webhook attempt could not be recorded; it is repeated");
                }
            }
        }
        Ok(all)
    }

    async fn try_record_attempts(
        &self,
        attempts: &[Attempt],
        patience: &Patience,
    ) -> Result<Recorded, StoreError> {
        let mut tx = self.begin("record_attempts").await?;
        let (recorded, next) = write(&mut tx, attempts).await?;
        let verdicts: Vec<Verdict<'_>> =
            attempts.iter().filter(|attempt| recorded.contains(&attempt.delivery.id)).map(verdict).collect();
        let disabled = health::note(self, &mut tx, &verdicts, patience).await?;
        tx.commit().await?;
        Ok(Recorded { next, disabled, lost: attempts.len() - recorded.len() })
    }
}

fn verdict(attempt: &Attempt) -> Verdict<'_> {
    let endpoint = attempt.delivery.endpoint.as_str();
    match attempt.end {
        End::Delivered(_) => Verdict { endpoint, has_failed: false, is_gone: false },
        End::Failed { is_gone, .. } => Verdict { endpoint, has_failed: true, is_gone },
    }
}

/// Writes the results of the deliveries and of the attempts; returns which were recorded, and how long until one is
/// retried.
async fn write(tx: &mut Tx, attempts: &[Attempt]) -> Result<(Vec<Uuid>, Option<Duration>), StoreError> {
    let mut rows: Vec<Row<'_>> = attempts.iter().map(Row::of).collect();
    rows.sort_by_key(|row| row.id);
    let rows = serde_json::to_value(&rows)
        .map_err(|error| StoreError::Unreadable { what: "attempts", detail: error.to_string() })?;
    let recorded = sqlx::query!(
        r#"-- record_attempts
        with sent as materialized (
            select * from jsonb_to_recordset($1) as s (
                id uuid, epoch bigint, state text, again float8, status int, error text, latency float8, response text
            )
        ), locked as (
            select d.id from deliveries d
            where d.id = any(array(select id from sent))
              and exists (select from sent s where s.id = d.id and s.epoch = d.epoch)
            order by d.id
            for no key update
        ), recorded as (
            update deliveries d
            set state = case when s.state = 'dead' and d.schedule_from > d.attempt then 'pending'
                             else s.state::delivery_state end,
                run_at = case when d.due_at is null then clock_timestamp() + make_interval(secs => case when d.schedule_from > d.attempt then 0 else s.again end) else d.run_at end,
                due_at = case when d.due_at is null then null else clock_timestamp() + make_interval(secs => case when d.schedule_from > d.attempt then 0 else s.again end) end,
                attempt = d.attempt + 1, last_status = s.status, last_error = s.error, lease_until = null,
                delivered_at = case when s.state = 'delivered' then clock_timestamp() end
            from sent s
            where d.id = any(array(select id from locked)) and s.id = d.id and s.epoch = d.epoch
            returning d.id, d.attempt, d.state, coalesce(d.due_at, d.run_at) as due
        ), logged as (
            insert into delivery_attempts (delivery_id, attempt, at, status, latency_seconds, response, error)
            select r.id, r.attempt, clock_timestamp() - make_interval(secs => s.latency), s.status, s.latency,
                   s.response, s.error
            from recorded r
            join sent s on s.id = r.id
        )
        select id, case when state = 'pending' then extract(epoch from due - clock_timestamp()) end::float8 as wait
        from recorded"#,
        rows
    )
    .all(tx)
    .await?;
    let next = recorded.iter().filter_map(|row| row.wait).min_by(f64::total_cmp);
    let ids = recorded.iter().map(|row| row.id).collect();
    Ok((ids, next.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default())))
}
