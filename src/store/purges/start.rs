//! The start of a purge: its first question.

use uuid::Uuid;

use crate::domain::events::EventType;
use crate::domain::state::PurgeState;
use crate::store::events::{Actor, OfPurge, write_for_purges};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// Marks those of the purges that are still queued as running; `false` where one of them may not be asked about any
/// more: the lock makes that exact, so that nothing is asked once a pause or a cancel was answered.
pub(in crate::store) async fn start(store: &Store, tx: &mut Tx, purges: &[Uuid]) -> Result<bool, StoreError> {
    let rows = sqlx::query!(
        r#"-- lock_purges_to_start
        select id, state as "state: PurgeState" from purges where id = any($1) order by id for no key update"#,
        purges
    )
    .all(tx)
    .await?;
    let mut queued = Vec::new();
    for row in rows {
        match row.state {
            PurgeState::Queued => queued.push(row.id),
            PurgeState::Running => {}
            _ => return Ok(false),
        }
    }
    if queued.is_empty() {
        return Ok(true);
    }
    sqlx::query!(
        "-- start_purges
        update purges set state = 'running', started_at = coalesce(started_at, clock_timestamp())
        where id = any($1)",
        &queued
    )
    .exactly(tx, queued.len())
    .await?;
    let now = tx.now().await?;
    let event = |purge| OfPurge {
        purge,
        event: EventType::PurgeStarted,
        job: None,
        payload: serde_json::json!({}),
        webhook: None,
    };
    write_for_purges(store, tx, now, Actor::ENGINE, queued.into_iter().map(event).collect()).await?;
    Ok(true)
}
