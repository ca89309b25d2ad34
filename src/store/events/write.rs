//! The one function that writes events, and the deliveries that they owe.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use crate::domain::events::EventType;
use crate::domain::keys::SERVICE;
use crate::store::deliveries::{RETENTION, WAKE};
use crate::store::events::stamp::WRITTEN;
use crate::store::tx::{Tx, Writes as _};
use crate::store::{Store, StoreError};

#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Actor<'a> {
    pub(in crate::store) name: &'a str,
    pub(in crate::store) request_id: Option<&'a str>,
}

impl Actor<'static> {
    pub(in crate::store) const ENGINE: Self = Self { name: SERVICE, request_id: None };
}

/// An event that belongs to no single purge.
pub(in crate::store) struct NewEvent<'a> {
    pub(in crate::store) event: EventType,
    pub(in crate::store) org: Option<&'a str>,
    pub(in crate::store) job: Option<Uuid>,
    pub(in crate::store) hold: Option<Uuid>,
    pub(in crate::store) payload: serde_json::Value,
    /// The body for the operator's receiver, where this event is one that it is told.
    pub(in crate::store) webhook: Option<String>,
}

/// An event in the history of a purge, whose row is locked.
pub(in crate::store) struct OfPurge {
    pub(in crate::store) purge: Uuid,
    pub(in crate::store) event: EventType,
    pub(in crate::store) job: Option<Uuid>,
    pub(in crate::store) payload: serde_json::Value,
    pub(in crate::store) webhook: Option<String>,
}

/// Writes one event that belongs to no single purge.
pub(in crate::store) async fn write(
    store: &Store,
    tx: &mut Tx,
    at: Timestamp,
    actor: Actor<'_>,
    event: NewEvent<'_>,
) -> Result<(), StoreError> {
    let id = store.new_id();
    sqlx::query!(
        "-- write_event
        insert into events (id, type, org, job_id, hold_id, actor, request_id, payload, at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        id,
        event.event.as_str(),
        event.org,
        event.job,
        event.hold,
        actor.name,
        actor.request_id,
        event.payload,
        at.to_sqlx() as _
    )
    .run(tx)
    .await?;
    tx.will_wake(WRITTEN);
    match event.webhook {
        Some(body) => owe(store, tx, &[id], &[body]).await,
        None => Ok(()),
    }
}

/// Writes events into the histories of purges; at most one for each purge. Each tells the time at which the purge's row was
/// its own: whoever was first in looking at the clock need not be first there, and a history goes forward.
pub(in crate::store) async fn write_for_purges(
    store: &Store,
    tx: &mut Tx,
    actor: Actor<'_>,
    mut events: Vec<OfPurge>,
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    events.sort_by_key(|event| event.purge);
    let ids: Vec<Uuid> = events.iter().map(|_| store.new_id()).collect();
    sqlx::query!(
        "-- write_purge_events
        with locked as (
            select id from purges where id = any($2) order by id for no key update
        ), counted as (
            update purges p set event_no = event_no + 1 from locked where p.id = locked.id
            returning p.id, p.org, p.event_no
        )
        insert into events (id, type, org, purge_id, event_no, job_id, actor, request_id, payload, at)
        select new.id, new.type, counted.org, counted.id, counted.event_no, new.job_id, $6, $7, new.payload,
               clock_timestamp()
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::jsonb[])
             as new (id, purge_id, type, job_id, payload)
        join counted on counted.id = new.purge_id",
        &ids,
        &events.iter().map(|event| event.purge).collect::<Vec<_>>(),
        &events.iter().map(|event| event.event.to_string()).collect::<Vec<_>>(),
        &events.iter().map(|event| event.job).collect::<Vec<_>>() as _,
        &events.iter().map(|event| event.payload.clone()).collect::<Vec<_>>(),
        actor.name,
        actor.request_id
    )
    .exactly(tx, events.len())
    .await?;
    tx.will_wake(WRITTEN);
    let (ids, bodies): (Vec<_>, Vec<_>) =
        ids.into_iter().zip(events).filter_map(|(id, event)| Some((id, event.webhook?))).unzip();
    owe(store, tx, &ids, &bodies).await
}

/// Writes the deliveries that these events owe to the operator's receiver, if there is one.
async fn owe(store: &Store, tx: &mut Tx, events: &[Uuid], bodies: &[String]) -> Result<(), StoreError> {
    if events.is_empty() || !store.tells_retention {
        return Ok(());
    }
    let ids: Vec<Uuid> = events.iter().map(|_| store.new_id()).collect();
    sqlx::query!(
        "-- owe_deliveries
        insert into deliveries (id, event_id, endpoint, payload)
        select id, event_id, $4, payload
        from unnest($1::uuid[], $2::uuid[], $3::text[]) as new (id, event_id, payload)",
        &ids,
        events,
        bodies,
        RETENTION
    )
    .run(tx)
    .await?;
    tx.will_wake(WAKE);
    Ok(())
}
