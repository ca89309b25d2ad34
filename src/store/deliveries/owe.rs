//! Creates the deliveries of an event, one per receiver, in the transaction of the event.

use serde::Serialize;
use sqlx::types::Uuid;

use super::{RETENTION, WAKE};
use crate::domain::endpoints::Interest;
use crate::domain::events::EventType;
use crate::store::endpoints::interest;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// The data of an event.
#[derive(Debug, Clone)]
pub(in crate::store) struct Message {
    body: String,
    to: Audience,
}

/// Its receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Audience {
    /// The operator's own receiver.
    Operator,
    /// Registered endpoints, and that of the purge.
    Endpoints,
    All,
}

impl Message {
    pub(in crate::store) fn new(body: &impl Serialize, to: Audience) -> Result<Self, StoreError> {
        let body = serde_json::to_string(body).map_err(|error| unreadable(&error))?;
        Ok(Self { body, to })
    }
}

/// The same as the payload of the event itself.
pub(in crate::store) fn payload(body: &impl Serialize) -> Result<serde_json::Value, StoreError> {
    serde_json::to_value(body).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> StoreError {
    StoreError::Unreadable { what: "an event", detail: error.to_string() }
}

/// An event for receivers.
pub(in crate::store) struct Owed {
    pub(in crate::store) event_id: Uuid,
    pub(in crate::store) event: EventType,
    pub(in crate::store) org: Option<String>,
    pub(in crate::store) purge: Option<Uuid>,
    pub(in crate::store) message: Message,
}

/// Writes the deliveries of these events.
pub(in crate::store) async fn owe(store: &Store, tx: &mut Tx, owed: Vec<Owed>) -> Result<(), StoreError> {
    if owed.is_empty() {
        return Ok(());
    }
    if store.tells_retention {
        let to_operator: Vec<&Owed> =
            owed.iter().filter(|owed| owed.message.to != Audience::Endpoints).collect();
        write(store, tx, to_operator.into_iter().map(|owed| (RETENTION.to_owned(), owed)).collect()).await?;
    }
    let to_endpoints: Vec<&Owed> = owed.iter().filter(|owed| owed.message.to != Audience::Operator).collect();
    if to_endpoints.is_empty() {
        return Ok(());
    }
    let endpoints = listening(tx, &to_endpoints).await?;
    let pairs = to_endpoints.iter().flat_map(|owed| {
        let hears = |endpoint: &&Listening| endpoint.hears(owed);
        endpoints.iter().filter(hears).map(|endpoint| (endpoint.id.to_string(), *owed))
    });
    write(store, tx, pairs.collect()).await
}

/// An endpoint that may get the event.
struct Listening {
    id: Uuid,
    purge: Option<Uuid>,
    interest: Interest,
}

impl Listening {
    fn hears(&self, owed: &Owed) -> bool {
        self.purge.is_none_or(|purge| owed.purge == Some(purge))
            && self.interest.covers(owed.event, owed.org.as_deref())
    }
}

/// The endpoints that are registered, and those of the purges.
async fn listening(tx: &mut Tx, owed: &[&Owed]) -> Result<Vec<Listening>, StoreError> {
    let purges: Vec<Uuid> = owed.iter().filter_map(|owed| owed.purge).collect();
    let rows = sqlx::query!(
        r#"-- listening_endpoints
        select id as "id!", purge_id, events, orgs from webhook_endpoints
        where purge_id is null and deleted_at is null and enabled
        union all
        select id, purge_id, events, orgs from webhook_endpoints
        where purge_id = any($1) and deleted_at is null and enabled"#,
        &purges
    )
    .all(tx)
    .await?;
    let listening = rows.into_iter().map(|row| {
        Ok(Listening { id: row.id, purge: row.purge_id, interest: interest(row.events, row.orgs)? })
    });
    listening.collect()
}

async fn write(store: &Store, tx: &mut Tx, pairs: Vec<(String, &Owed)>) -> Result<(), StoreError> {
    if pairs.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = pairs.iter().map(|_| store.new_id()).collect();
    sqlx::query!(
        "-- owe_deliveries
        insert into deliveries (id, event_id, endpoint, payload, run_at, due_at)
        select id, event_id, endpoint, payload,
               case when endpoint = $5 then clock_timestamp() else '9999-01-01' end,
               case when endpoint = $5 then null else clock_timestamp() end
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) as new (id, event_id, endpoint, payload)",
        &ids,
        &pairs.iter().map(|(_, owed)| owed.event_id).collect::<Vec<_>>(),
        &pairs.iter().map(|(endpoint, _)| endpoint.clone()).collect::<Vec<_>>(),
        &pairs.iter().map(|(_, owed)| owed.message.body.clone()).collect::<Vec<_>>(),
        RETENTION
    )
    .exactly(tx, pairs.len())
    .await?;
    tx.will_wake(WAKE);
    Ok(())
}
