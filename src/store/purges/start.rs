//! The start of a purge: its first question.

use uuid::Uuid;

use crate::domain::events::EventType;
use crate::store::events::{Actor, OfPurge, write_for_purges};
use crate::store::tx::Tx;
use crate::store::{Store, StoreError};

/// Marks those of the purges that are still queued as running.
pub(in crate::store) async fn start(store: &Store, tx: &mut Tx, purges: &[Uuid]) -> Result<(), StoreError> {
    let failed = tx.failed();
    let started = sqlx::query_scalar!(
        "-- start_purges
        with queued as (
            select id from purges where id = any($1) and state = 'queued' order by id for no key update
        )
        update purges p set state = 'running', started_at = coalesce(started_at, clock_timestamp())
        from queued
        where p.id = queued.id
        returning p.id",
        purges
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(failed)?;
    if started.is_empty() {
        return Ok(());
    }
    let now = tx.now().await?;
    let event = |purge| OfPurge {
        purge,
        event: EventType::PurgeStarted,
        job: None,
        payload: serde_json::json!({}),
        webhook: None,
    };
    write_for_purges(store, tx, now, Actor::ENGINE, started.into_iter().map(event).collect()).await
}
