//! Redelivers on request: under the same `webhook-id`, at once, and with a new schedule.
//!
//! An attempt under way keeps its lease: no second one starts beside it, and its result is recorded. `schedule_from`
//! tells that record that a redelivery was requested.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::json;
use uuid::Uuid;

use super::WAKE;
use super::list::Place;
use super::read::{DeliveryRow, load};
use crate::domain::events::EventType;
use crate::domain::keys::Reach;
use crate::domain::state::DeliveryState;
use crate::store::events::{NewEvent, write};
use crate::store::keys::{self, By};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// Redeliveries per transaction.
const BATCH: i64 = 500;

/// Maximum transactions per request.
const BATCHES: usize = 20;

/// A delivery that is sent again.
#[derive(Debug, Clone)]
pub struct Redelivered {
    /// The state in which it was.
    pub was: DeliveryState,
    pub delivery: DeliveryRow,
}

impl Store {
    /// Makes a delivery due now, whatever its state; `None` if there is none within the reach.
    pub async fn redeliver(
        &self,
        reach: &Reach,
        id: Uuid,
        by: By<'_>,
    ) -> Result<Option<Redelivered>, StoreError> {
        let mut tx = self.begin_request("redeliver").await?;
        keys::ensure_in_force(&mut tx, by.key_id).await?;
        let found = sqlx::query!(
            r#"-- lock_delivery
            select state as "state: DeliveryState", event_id from deliveries
            where id = $1 and ($2::text[] is null or org = any($2))
            for no key update"#,
            id,
            reach.orgs()
        )
        .maybe(&mut tx)
        .await?;
        let Some(found) = found else { return Ok(None) };
        sqlx::query!(
            "-- redeliver
            update deliveries
            set state = 'pending', delivered_at = null,
                run_at = case when due_at is null then clock_timestamp() else run_at end,
                due_at = case when due_at is null then null else clock_timestamp() end,
                schedule_from = attempt + case when lease_until > clock_timestamp() then 1 else 0 end
            where id = $1",
            id
        )
        .exactly(&mut tx, 1)
        .await?;
        // Read before the commit: otherwise a committed change could be answered with a read error.
        let Some(delivery) = load(&mut tx, reach, &[id]).await?.pop() else { return Ok(None) };
        let payload =
            json!({ "deliveryId": id, "webhookId": found.event_id, "state": found.state, "number": 1 });
        self.note_redelivery(&mut tx, delivery.org.as_deref(), payload, by).await?;
        tx.will_wake(WAKE);
        tx.commit().await?;
        Ok(Some(Redelivered { was: found.state, delivery }))
    }

    /// Has those sent again that are dead and were written at `since` or later, the oldest first, from behind `after` on. How
    /// many these were, and the place to go on behind, unless they were all.
    pub async fn redeliver_dead(
        &self,
        reach: &Reach,
        since: Timestamp,
        mut after: Option<Place>,
        by: By<'_>,
    ) -> Result<(u64, Option<Place>), StoreError> {
        let mut redelivered = 0;
        for _ in 0..BATCHES {
            let mut tx = self.begin_request("redeliver_dead").await?;
            keys::ensure_in_force(&mut tx, by.key_id).await?;
            let dead = dead_since(&mut tx, reach, since, after).await?;
            let numbers = send_again(&mut tx, &dead).await?;
            for (org, number) in numbers {
                redelivered += number;
                let payload = json!({ "since": since, "state": DeliveryState::Dead, "number": number });
                self.note_redelivery(&mut tx, org.as_deref(), payload, by).await?;
            }
            tx.will_wake(WAKE);
            tx.commit().await?;
            if i64::try_from(dead.len()).is_ok_and(|number| number < BATCH) {
                return Ok((redelivered, None));
            }
            // Behind these: one that dies again at once is not sent again without end.
            after = dead.last().copied();
        }
        Ok((redelivered, after))
    }

    async fn note_redelivery(
        &self,
        tx: &mut Tx,
        org: Option<&str>,
        payload: serde_json::Value,
        by: By<'_>,
    ) -> Result<(), StoreError> {
        let (event, at) = (EventType::WebhooksRedelivered, tx.now().await?);
        let event = NewEvent { event, org, job: None, hold: None, payload, webhook: None };
        write(self, tx, at, by.actor(), event).await
    }
}

/// The oldest of each org, of which the oldest are a batch.
async fn dead_since(
    tx: &mut Tx,
    reach: &Reach,
    since: Timestamp,
    after: Option<Place>,
) -> Result<Vec<Place>, StoreError> {
    let (after_at, after_id) = after.unwrap_or((since, Uuid::nil()));
    let rows = sqlx::query!(
        r#"-- dead_since
        select found.created_at as "created_at!", found.id as "id!"
        from (
            select of_org.created_at, of_org.id
            from orgs o
            cross join lateral (
                select created_at, id from deliveries
                where org = o.name and state = 'dead' and created_at >= $2 and (created_at, id) > ($3, $4)
                order by created_at, id
                limit $5
            ) of_org
            where $1::text[] is null or o.name = any($1)
            union all
            (
                select created_at, id from deliveries
                where $1::text[] is null and org is null and state = 'dead' and created_at >= $2
                  and (created_at, id) > ($3, $4)
                order by org, created_at, id
                limit $5
            )
        ) found
        order by 1, 2
        limit $5"#,
        reach.orgs(),
        since.to_sqlx() as _,
        after_at.to_sqlx() as _,
        after_id,
        BATCH
    )
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.created_at.to_jiff(), row.id)).collect())
}

/// Those among them that are dead still; how many of each org.
async fn send_again(tx: &mut Tx, dead: &[Place]) -> Result<BTreeMap<Option<String>, u64>, StoreError> {
    let ids: Vec<Uuid> = dead.iter().map(|(_, id)| *id).collect();
    let orgs = sqlx::query_scalar!(
        "-- redeliver_dead
        update deliveries d
        set state = 'pending', schedule_from = d.attempt,
            run_at = case when d.due_at is null then clock_timestamp() else d.run_at end,
            due_at = case when d.due_at is null then null else clock_timestamp() end
        from (
            select id from deliveries where id = any($1) and state = 'dead' order by id for no key update
        ) locked
        where d.id = locked.id
        returning d.org",
        &ids
    )
    .all(tx)
    .await?;
    let mut numbers = BTreeMap::new();
    for org in orgs {
        *numbers.entry(org).or_default() += 1;
    }
    Ok(numbers)
}
