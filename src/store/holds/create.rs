//! Creates a hold: its ids are loaded first; only the activation runs under the orgs' locks, which makes it exactly
//! before or after every intent.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use super::read::Hold;
use crate::domain::events::EventType;
use crate::domain::keys::Reach;
use crate::store::events::{Actor, NewEvent, write};
use crate::store::keys;
use crate::store::orgs::quiet::quiet_at;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError, Urgency};

/// So often a hold is tried that others send and release at the same time.
const TRIES: usize = 5;

/// A requested hold.
#[derive(Debug, Clone)]
pub struct NewHold {
    /// The matter that protects.
    pub matter: String,
    /// Its conversations, without duplicates.
    pub conversation_ids: Vec<Uuid>,
    pub orgs: Vec<String>,
    /// The reason, if one was given.
    pub reason: Option<String>,
    /// The caller's own name for it.
    pub external_id: Option<String>,
    /// The id of the key that asks.
    pub key_id: Uuid,
    pub created_by: String,
    pub request_id: String,
}

/// The result of creating a hold.
#[derive(Debug, Clone)]
pub enum Held {
    New(CreatedHold),
    /// The same is in force under the name that the caller gave it.
    Before(CreatedHold),
    /// Something else is.
    Misused(Uuid),
}

/// A hold in force, and what it could not prevent.
#[derive(Debug, Clone)]
pub struct CreatedHold {
    pub hold: Hold,
    /// No submit with one of its conversations leaves after this time.
    pub quiet_at: Timestamp,
    /// Conversations that were purged before the hold was in force, or named by an intent whose job may still delete them.
    pub too_late: Vec<Uuid>,
}

impl Store {
    /// Creates a hold, or finds the one that is in force under the caller's own name for it; from the return on no intent
    /// names its conversations.
    pub async fn create_hold(&self, new: &NewHold) -> Result<Held, StoreError> {
        // A concurrent request for the same hold, or its release, ends at some time.
        for _ in 0..TRIES {
            if let Some(held) = self.held_before(new).await? {
                return Ok(held);
            }
            let id = self.new_id();
            self.load_hold(id, new).await?;
            match self.activate_hold(id, new).await {
                Ok(quiet_at) => return Ok(Held::New(self.created(id, new, quiet_at).await?)),
                Err(error) if error.is_unique_violation() => self.unload_hold(id).await?,
                Err(error @ StoreError::Revoked) => {
                    self.unload_hold(id).await?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::NoTurn)
    }

    /// The active hold with the caller's `externalId`.
    async fn held_before(&self, new: &NewHold) -> Result<Option<Held>, StoreError> {
        let Some(external_id) = &new.external_id else { return Ok(None) };
        let mut tx = self.begin_protecting("held_before").await?;
        // A hold that is active now stays so until the answer is decided.
        lock_orgs(&mut tx, &new.orgs).await?;
        keys::ensure_in_force(&mut tx, new.key_id).await?;
        let row = sqlx::query!(
            r#"-- held_before
            select id, matter = $3 and orgs = $4 and conversations = cardinality($5::uuid[]) and not exists (
                       select from unnest($5) as c (id)
                       where not exists (
                           select from hold_conversations hc
                           where hc.conversation_id = c.id and hc.org = any($4) and hc.hold_id = h.id
                       )
                   ) as "is_same!"
            from holds h
            where key_id = $1 and external_id = $2 and active"#,
            new.key_id,
            external_id,
            new.matter,
            &new.orgs,
            &new.conversation_ids
        )
        .maybe(&mut tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        if !row.is_same {
            return Ok(Some(Held::Misused(row.id)));
        }
        let quiet_at = quiet_at(&mut tx, &new.orgs, None).await?;
        tx.commit().await?;
        Ok(Some(Held::Before(self.created(row.id, new, quiet_at).await?)))
    }

    async fn created(&self, id: Uuid, new: &NewHold, quiet_at: Timestamp) -> Result<CreatedHold, StoreError> {
        let too_late = self.too_late_for(&Reach::of(new.orgs.clone()), id).await?;
        let hold = self.hold(&Reach::of(&new.orgs), id, Urgency::Protecting).await?.ok_or(
            StoreError::Unreadable {
                what: "hold",
                detail: format!("{id} is gone right after it was created"),
            },
        )?;
        Ok(CreatedHold { hold, quiet_at, too_late })
    }

    async fn load_hold(&self, id: Uuid, new: &NewHold) -> Result<(), StoreError> {
        self.retried(|| self.try_load_hold(id, new)).await
    }

    async fn try_load_hold(&self, id: Uuid, new: &NewHold) -> Result<(), StoreError> {
        let mut tx = self.begin_protecting("load_hold").await?;
        let now = tx.now().await?;
        sqlx::query!(
            "-- load_hold
            insert into holds (id, matter, created_by, request_id, created_at, conversations, orgs, external_id, key_id,
                               reason)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            id,
            new.matter,
            new.created_by,
            new.request_id,
            now.to_sqlx() as _,
            i32::try_from(new.conversation_ids.len()).unwrap_or(i32::MAX),
            &new.orgs,
            new.external_id,
            new.key_id,
            new.reason
        )
        .run(&mut tx)
        .await?;
        sqlx::query!(
            "-- load_hold_conversations
            insert into hold_conversations (conversation_id, org, hold_id)
            select id, org, $3 from unnest($1::uuid[]) as c (id) cross join unnest($2::text[]) as o (org)",
            &new.conversation_ids,
            &new.orgs,
            id
        )
        .exactly(&mut tx, new.conversation_ids.len() * new.orgs.len())
        .await?;
        tx.commit().await
    }

    /// Removes the loaded ids of a hold that was never activated.
    async fn unload_hold(&self, id: Uuid) -> Result<(), StoreError> {
        let mut tx = self.begin_protecting("unload_hold").await?;
        sqlx::query!("-- unload_hold_conversations\ndelete from hold_conversations where hold_id = $1", id)
            .run(&mut tx)
            .await?;
        sqlx::query!(
            "-- unload_hold\ndelete from holds where id = $1 and not active and released_at is null",
            id
        )
        .exactly(&mut tx, 1)
        .await?;
        tx.commit().await
    }

    async fn activate_hold(&self, id: Uuid, new: &NewHold) -> Result<Timestamp, StoreError> {
        self.retried(|| self.try_activate_hold(id, new)).await
    }

    async fn try_activate_hold(&self, id: Uuid, new: &NewHold) -> Result<Timestamp, StoreError> {
        let mut tx = self.begin_protecting("activate_hold").await?;
        lock_orgs(&mut tx, &new.orgs).await?;
        keys::ensure_in_force(&mut tx, new.key_id).await?;
        let now = tx.now().await?;
        sqlx::query!("-- activate_hold\nupdate holds set active = true where id = $1", id)
            .exactly(&mut tx, 1)
            .await?;
        let quiet_at = quiet_at(&mut tx, &new.orgs, None).await?;
        let mut payload = serde_json::json!({ "matter": new.matter, "conversations": new.conversation_ids.len(), "orgs": new.orgs });
        if let Some(reason) = &new.reason {
            payload["reason"] = reason.as_str().into();
        }
        let actor = Actor { name: &new.created_by, request_id: Some(&new.request_id) };
        let event = NewEvent {
            event: EventType::HoldCreated,
            org: None,
            job: None,
            hold: Some(id),
            payload,
            webhook: None,
        };
        write(self, &mut tx, now, actor, event).await?;
        tx.commit().await?;
        Ok(quiet_at)
    }
}

/// Takes the locks of several orgs, in the order of their names.
pub(super) async fn lock_orgs(tx: &mut Tx, orgs: &[String]) -> Result<(), StoreError> {
    sqlx::query!(
        "-- lock_orgs\nselect name from orgs where name = any($1) order by name for no key update",
        orgs
    )
    .all(tx)
    .await?;
    Ok(())
}
