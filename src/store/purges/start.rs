//! A purge is validated: records its start, the first time, and its turn.

use uuid::Uuid;

use crate::domain::events::EventType;
use crate::domain::state::PurgeState;
use crate::store::events::{Actor, OfPurge, write_for_purges};
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// Marks those of the purges that are still queued as running, and sends all to the end of the line; `false` if one of
/// them may no longer be queried, and then the caller rolls back: the lock makes that exact, so that nothing is
/// queried once a pause or a cancel was answered.
pub(in crate::store) async fn start(store: &Store, tx: &mut Tx, purges: &[Uuid]) -> Result<bool, StoreError> {
    let rows = sqlx::query!(
        r#"-- start_purges
        with locked as (
            select id, state from purges where id = any($1) order by id for no key update
        ), started as (
            update purges p
            set state = 'running', started_at = coalesce(p.started_at, turn.at),
                ask_turn_at = turn.at, ask_at = next_ask(p.id, turn.at)
            from locked, (select clock_timestamp() as at) turn
            where p.id = locked.id and locked.state in ('queued', 'running')
        )
        select id, state as "state: PurgeState" from locked"#,
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
    let event = |purge| OfPurge {
        purge,
        event: EventType::PurgeStarted,
        job: None,
        payload: serde_json::json!({}),
        webhook: None,
    };
    write_for_purges(store, tx, Actor::ENGINE, queued.into_iter().map(event).collect()).await?;
    Ok(true)
}
