//! Releases a hold: what it kept back stays `on_hold` where it is; a new purge may name it.

use uuid::Uuid;

use super::create::lock_orgs;
use super::read::Hold;
use crate::domain::events::EventType;
use crate::store::events::{Actor, NewEvent, write};
use crate::store::tx::Writes as _;
use crate::store::{Store, StoreError};

/// What became of the wish to release a hold.
#[derive(Debug, Clone)]
pub enum Released {
    /// It protects no more.
    Done(Hold),
    /// It was released before.
    Already(Hold),
}

impl Store {
    pub async fn release_hold(
        &self,
        hold: &Hold,
        by: &str,
        request_id: &str,
    ) -> Result<Released, StoreError> {
        let mut tx = self.begin_request("release_hold").await?;
        lock_orgs(&mut tx, &hold.orgs).await?;
        let released = sqlx::query!(
            "-- release_hold
            update holds set active = false, released_at = clock_timestamp(), released_by = $2
            where id = $1 and released_at is null",
            hold.id,
            by
        )
        .run(&mut tx)
        .await?;
        let is_done = released > 0;
        if is_done {
            let now = tx.now().await?;
            let actor = Actor { name: by, request_id: Some(request_id) };
            let payload = serde_json::json!({ "matter": hold.matter });
            let event = NewEvent {
                event: EventType::HoldReleased,
                org: None,
                job: None,
                hold: Some(hold.id),
                payload,
                webhook: None,
            };
            write(self, &mut tx, now, actor, event).await?;
        }
        tx.commit().await?;
        let now = self.hold(hold.id).await?.ok_or(missing(hold.id))?;
        Ok(if is_done { Released::Done(now) } else { Released::Already(now) })
    }
}

fn missing(id: Uuid) -> StoreError {
    StoreError::Unreadable { what: "hold", detail: format!("{id} is gone, though holds are never removed") }
}
