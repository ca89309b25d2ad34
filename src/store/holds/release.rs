//! Releases a hold: conversations that ended `on_hold` because of it stay so; a new purge may name them.

use uuid::Uuid;

use super::create::lock_orgs;
use super::read::{Hold, load};
use crate::domain::events::EventType;
use crate::domain::keys::Reach;
use crate::store::events::{NewEvent, write};
use crate::store::keys::{self, By};
use crate::store::tx::{Rows as _, Writes as _};
use crate::store::{Store, StoreError};

/// The result of a release.
#[derive(Debug, Clone)]
pub enum Released {
    /// It protects no more.
    Done(Hold),
    /// It was released before.
    Already(Hold),
}

impl Store {
    /// Releases it; `None` if it does not exist, or the reach does not cover all of its orgs: a key that reaches only
    /// some must not remove the protection in the others.
    pub async fn release_hold(
        &self,
        reach: &Reach,
        id: Uuid,
        by: By<'_>,
    ) -> Result<Option<Released>, StoreError> {
        self.retried(|| self.try_release_hold(reach, id, by)).await
    }

    async fn try_release_hold(
        &self,
        reach: &Reach,
        id: Uuid,
        by: By<'_>,
    ) -> Result<Option<Released>, StoreError> {
        let mut tx = self.begin_request("release_hold").await?;
        let hold = sqlx::query!(
            "-- hold_to_release
            select matter, orgs from holds
            where id = $1 and (active or released_at is not null) and ($2::text[] is null or orgs <@ $2)",
            id,
            reach.orgs() as _
        )
        .maybe(&mut tx)
        .await?;
        let Some(hold) = hold else { return Ok(None) };
        lock_orgs(&mut tx, &hold.orgs).await?;
        keys::ensure_in_force(&mut tx, by.key_id).await?;
        let released = sqlx::query!(
            "-- release_hold
            update holds set active = false, released_at = clock_timestamp(), released_by = $2, release_reason = $3
            where id = $1 and released_at is null",
            id,
            by.name,
            by.reason
        )
        .run(&mut tx)
        .await?;
        let is_done = released > 0;
        if is_done {
            let now = tx.now().await?;
            let mut payload = serde_json::json!({ "matter": hold.matter });
            if let Some(reason) = by.reason {
                payload["reason"] = reason.into();
            }
            let event = NewEvent {
                event: EventType::HoldReleased,
                org: None,
                job: None,
                hold: Some(id),
                payload,
                webhook: None,
            };
            write(self, &mut tx, now, by.actor(), event).await?;
        }
        // Read before the commit: otherwise a committed change could be answered with a read error.
        let hold = load(&mut tx, reach, &[id]).await?.pop().ok_or_else(|| missing(id))?;
        tx.commit().await?;
        Ok(Some(if is_done { Released::Done(hold) } else { Released::Already(hold) }))
    }
}

fn missing(id: Uuid) -> StoreError {
    StoreError::Unreadable { what: "hold", detail: format!("{id} is gone, though holds are never removed") }
}
