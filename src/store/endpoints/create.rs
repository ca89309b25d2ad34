//! Registers an endpoint.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use uuid::Uuid;

use super::read::load;
use super::{Endpoint, MOST, host, words};
use crate::domain::endpoints::Interest;
use crate::domain::events::EventType;
use crate::domain::keys::Reach;
use crate::store::events::{NewEvent, write};
use crate::store::keys::{self, By};
use crate::store::tx::{Tx, Writes as _};
use crate::store::{Store, StoreError};

/// A requested endpoint.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    pub url: String,
    pub description: Option<String>,
    pub interest: Interest,
    pub enabled: bool,
    pub secret: SecretString,
}

impl Store {
    /// Registers it; `None` if the maximum is reached.
    pub async fn create_endpoint(
        &self,
        reach: &Reach,
        new: &NewEndpoint,
        by: By<'_>,
    ) -> Result<Option<Endpoint>, StoreError> {
        let id = self.new_id();
        let mut tx = self.begin_request("create_endpoint").await?;
        keys::ensure_in_force(&mut tx, by.key_id).await?;
        let events = words(new.interest.events.as_ref());
        let created = sqlx::query!(
            "-- create_endpoint
            insert into webhook_endpoints
                (id, url, description, events, orgs, enabled, disabled_at, secret, key_id, created_by)
            select $1, $2, $3, $4, $5, $6, case when not $6 then clock_timestamp() end, $7, $8, $9
            where (select count(*) from webhook_endpoints where purge_id is null and deleted_at is null) < $10",
            id,
            new.url,
            new.description,
            events.as_deref(),
            new.interest.orgs.as_deref(),
            new.enabled,
            new.secret.expose_secret(),
            by.key_id,
            by.name,
            MOST
        )
        .run(&mut tx)
        .await?;
        if created == 0 {
            return Ok(None);
        }
        let endpoint = load(&mut tx, reach, &[id]).await?.pop();
        if let Some(endpoint) = &endpoint {
            note(self, &mut tx, endpoint, EventType::EndpointCreated, by).await?;
        }
        tx.commit().await?;
        Ok(endpoint)
    }
}

/// Records the act on an endpoint.
pub(super) async fn note(
    store: &Store,
    tx: &mut Tx,
    endpoint: &Endpoint,
    event: EventType,
    by: By<'_>,
) -> Result<(), StoreError> {
    let org = endpoint.interest.only_org();
    let payload = json!({
        "endpointId": endpoint.id, "host": host(&endpoint.url), "enabled": endpoint.enabled,
        "events": endpoint.interest.events, "orgs": endpoint.interest.orgs,
    });
    let at = tx.now().await?;
    let event = NewEvent { event, org, job: None, hold: None, payload, webhook: None };
    write(store, tx, at, by.actor(), event).await
}

/// The endpoint that a purge names, which is written with it.
#[derive(Debug, Clone)]
pub struct OfPurge {
    pub id: Uuid,
    pub url: String,
    pub secret: SecretString,
}
