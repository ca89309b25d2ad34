//! The one function that writes events and their deliveries.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use crate::domain::events::EventType;
use crate::domain::keys::SERVICE;
use crate::store::deliveries::owe::{Message, Owed, owe};
use crate::store::error::ensure_rows;
use crate::store::events::stamp::WRITTEN;
use crate::store::tx::{Rows as _, Tx, Writes as _};
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
    /// Its deliveries, if any receiver gets it.
    pub(in crate::store) webhook: Option<Message>,
}

/// An event in the history of a purge, whose row is locked.
pub(in crate::store) struct OfPurge {
    pub(in crate::store) purge: Uuid,
    pub(in crate::store) event: EventType,
    pub(in crate::store) job: Option<Uuid>,
    pub(in crate::store) payload: serde_json::Value,
    pub(in crate::store) webhook: Option<Message>,
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
    let Some(message) = event.webhook else { return Ok(()) };
    let org = event.org.map(str::to_owned);
    owe(store, tx, vec![Owed { event_id: id, event: event.event, org, purge: None, message }]).await
}

/// Writes events into the histories of purges; at most one for each purge. Each has the time at which the purge's row
/// was locked: a transaction that read the clock first need not get the lock first, and the times of a history must
/// not go backwards.
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
    let written = sqlx::query!(
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
        join counted on counted.id = new.purge_id
        returning id, org",
        &ids,
        &events.iter().map(|event| event.purge).collect::<Vec<_>>(),
        &events.iter().map(|event| event.event.to_string()).collect::<Vec<_>>(),
        &events.iter().map(|event| event.job).collect::<Vec<_>>() as _,
        &events.iter().map(|event| event.payload.clone()).collect::<Vec<_>>(),
        actor.name,
        actor.request_id
    )
    .all(tx)
    .await?;
    tx.will_wake(WRITTEN);
    ensure_rows("write_purge_events", written.len() as u64, events.len())?;
    let mut orgs: HashMap<Uuid, Option<String>> = written.into_iter().map(|row| (row.id, row.org)).collect();
    let owed = ids.into_iter().zip(events).filter_map(|(event_id, OfPurge { purge, event, webhook, .. })| {
        let org = orgs.remove(&event_id).flatten();
        Some(Owed { event_id, event, org, purge: Some(purge), message: webhook? })
    });
    owe(store, tx, owed.collect()).await
}
