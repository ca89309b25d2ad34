//! Changes an endpoint, deletes it, or rotates its secret.

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::create::note;
use super::read::load;
use super::{Endpoint, words};
use crate::domain::endpoints::Told;
use crate::domain::events::EventType;
use crate::domain::keys::Reach;
use crate::store::deliveries::WAKE;
use crate::store::keys::{self, By};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// The change of an optional value: a missing field keeps it, null clears it.
#[derive(Debug, Clone, Default)]
pub enum Wish<T> {
    #[default]
    Unsaid,
    Set(Option<T>),
}

impl<T> Wish<T> {
    /// Maps the new value.
    #[must_use]
    pub fn map(self, of: impl FnOnce(Option<T>) -> Option<T>) -> Self {
        match self {
            Self::Unsaid => Self::Unsaid,
            Self::Set(value) => Self::Set(of(value)),
        }
    }

    fn or<'a>(&'a self, before: Option<&'a T>) -> Option<&'a T> {
        match self {
            Self::Unsaid => before,
            Self::Set(value) => value.as_ref(),
        }
    }
}

/// A present field counts, also if it is null.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Wish<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Set)
    }
}

/// The changes; `None` keeps a value.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub url: Option<String>,
    pub description: Wish<String>,
    pub events: Wish<Vec<Told>>,
    pub orgs: Wish<Vec<String>>,
    pub enabled: Option<bool>,
}

/// The change of an endpoint.
#[derive(Debug, Clone)]
pub enum Changed {
    To(Change),
    /// A new secret; the old one signs too for a day.
    Secret(SecretString),
    /// It is sent nothing more, and is not seen again.
    Deleted,
}

impl Store {
    /// Applies it; returns the changed endpoint, or `None` if there is none within the reach.
    pub async fn change_endpoint(
        &self,
        reach: &Reach,
        id: Uuid,
        changed: &Changed,
        by: By<'_>,
    ) -> Result<Option<Endpoint>, StoreError> {
        let mut tx = self.begin_request("change_endpoint").await?;
        keys::ensure_in_force(&mut tx, by.key_id).await?;
        sqlx::query!(
            "-- lock_endpoint\nselect id from webhook_endpoints where id = $1 for no key update",
            id
        )
        .maybe(&mut tx)
        .await?;
        let Some(before) = load(&mut tx, reach, &[id]).await?.pop() else { return Ok(None) };
        let event = match changed {
            Changed::To(change) => {
                set(&mut tx, &before, change).await?;
                EventType::EndpointChanged
            }
            Changed::Secret(secret) => {
                rotate(&mut tx, id, secret).await?;
                EventType::EndpointSecretRotated
            }
            Changed::Deleted => {
                delete(&mut tx, id).await?;
                EventType::EndpointDeleted
            }
        };
        let after = load(&mut tx, &Reach::all(), &[id]).await?.pop();
        let after = after.unwrap_or_else(|| Endpoint { enabled: false, ..before });
        note(self, &mut tx, &after, event, by).await?;
        // Its deliveries are sent, or given up.
        tx.will_wake(WAKE);
        tx.commit().await?;
        Ok(Some(after))
    }
}

/// Enabling it, or changing its address, makes its deliveries due at once.
async fn set(tx: &mut Tx, before: &Endpoint, change: &Change) -> Result<(), StoreError> {
    let url = change.url.as_ref().unwrap_or(&before.url);
    let description = change.description.or(before.description.as_ref());
    let events = words(change.events.or(before.interest.events.as_ref()));
    let orgs = change.orgs.or(before.interest.orgs.as_ref());
    let enabled = change.enabled.unwrap_or(before.enabled);
    sqlx::query!(
        "-- set_endpoint
        update webhook_endpoints
        set url = $2, description = $3, events = $4, orgs = $5, enabled = $6, updated_at = clock_timestamp(),
            disabled_at = case when not $6 then coalesce(disabled_at, clock_timestamp()) end,
            disabled_reason = case when not $6 then disabled_reason end
        where id = $1",
        before.id,
        url,
        description.map(String::as_str),
        events.as_deref(),
        orgs.map(Vec::as_slice),
        enabled
    )
    .exactly(tx, 1)
    .await?;
    if (enabled && !before.enabled) || *url != before.url {
        forget_health(tx, before.id).await?;
    }
    Ok(())
}

async fn rotate(tx: &mut Tx, id: Uuid, secret: &SecretString) -> Result<(), StoreError> {
    sqlx::query!(
        "-- rotate_endpoint_secret
        update webhook_endpoints
        set previous_secret = secret, previous_until = clock_timestamp() + interval '24 hours', secret = $2,
            updated_at = clock_timestamp()
        where id = $1",
        id,
        secret.expose_secret()
    )
    .exactly(tx, 1)
    .await
}

async fn delete(tx: &mut Tx, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "-- delete_endpoint
        update webhook_endpoints
        set enabled = false, disabled_at = coalesce(disabled_at, clock_timestamp()), deleted_at = clock_timestamp(),
            updated_at = clock_timestamp(), secret = '', previous_secret = null, previous_until = null
        where id = $1",
        id
    )
    .exactly(tx, 1)
    .await?;
    forget_health(tx, id).await
}

async fn forget_health(tx: &mut Tx, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("-- forget_health\ndelete from endpoint_health where endpoint = $1", id.to_string())
        .run(tx)
        .await?;
    Ok(())
}
