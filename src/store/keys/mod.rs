//! API keys: made, found, listed, revoked. A key itself is never stored, only its digest.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::error::word;
use super::events::Actor;
use super::{Store, StoreError, Urgency};
use crate::domain::keys::{Caller, SHOWN, Scope};
use crate::store::tx::{Rows as _, Tx, Writes as _};

/// A key, as it is listed.
#[derive(Debug, Clone)]
pub struct KeyRow {
    pub id: Uuid,
    pub prefix: String,
    /// Its name, what it allows, and the orgs it is limited to.
    pub caller: Caller,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Who has something done: with which key, under which name, by which request, and why.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    pub key_id: Uuid,
    pub name: &'a str,
    pub request_id: &'a str,
    /// As far as it was said.
    pub reason: Option<&'a str>,
}

impl<'a> By<'a> {
    pub(in crate::store) const fn actor(self) -> Actor<'a> {
        Actor { name: self.name, request_id: Some(self.request_id) }
    }
}

fn digest(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}

impl Store {
    /// Stores the digest of a new key.
    pub async fn create_key(&self, key: &str, caller: &Caller) -> Result<Uuid, StoreError> {
        let id = self.new_id();
        let scopes: Vec<String> = caller.scopes.iter().map(ToString::to_string).collect();
        let mut tx = self.begin_request("create_key").await?;
        sqlx::query!(
            "-- create_key
            insert into api_keys (id, name, prefix, sha256, scopes, orgs) values ($1, $2, $3, $4, $5, $6)",
            id,
            caller.name,
            key.get(..SHOWN).unwrap_or(key),
            digest(key),
            &scopes,
            caller.reach.orgs()
        )
        .run(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(id)
    }

    /// The id of this key and whose it is; `None` for an unknown or revoked one.
    pub async fn find_caller(
        &self,
        key: &str,
        urgency: Urgency,
    ) -> Result<Option<(Uuid, Caller)>, StoreError> {
        let mut tx = self.single_request("find_caller", urgency).await?;
        let row = sqlx::query!(
            "-- find_caller
            select id, name, scopes, orgs from api_keys where sha256 = $1 and revoked_at is null",
            digest(key)
        )
        .maybe(&mut tx)
        .await?;
        row.map(|row| {
            Ok((row.id, Caller { name: row.name, scopes: scopes(&row.scopes)?, reach: row.orgs.into() }))
        })
        .transpose()
    }

    /// Whose the key with this id is; `None` for an unknown or revoked one.
    pub async fn caller_of_key(&self, id: Uuid, urgency: Urgency) -> Result<Option<Caller>, StoreError> {
        let mut tx = self.single_request("caller_of_key", urgency).await?;
        let row = sqlx::query!(
            "-- caller_of_key
            select name, scopes, orgs from api_keys where id = $1 and revoked_at is null",
            id
        )
        .maybe(&mut tx)
        .await?;
        row.map(|row| Ok(Caller { name: row.name, scopes: scopes(&row.scopes)?, reach: row.orgs.into() }))
            .transpose()
    }

    /// Whether the key with this id counts still.
    pub async fn is_key_in_force(&self, id: Uuid) -> Result<bool, StoreError> {
        is_in_force(&mut self.single_request("is_key_in_force", Urgency::Ordinary).await?, id).await
    }

    /// All keys, oldest first.
    pub async fn list_keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        let mut tx = self.begin_request("list_keys").await?;
        let rows = sqlx::query!(
            "-- list_keys
            select id, name, prefix, scopes, orgs, created_at, revoked_at from api_keys order by id"
        )
        .all(&mut tx)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(KeyRow {
                    id: row.id,
                    prefix: row.prefix,
                    caller: Caller { name: row.name, scopes: scopes(&row.scopes)?, reach: row.orgs.into() },
                    created_at: row.created_at.to_jiff(),
                    revoked_at: row.revoked_at.map(SqlTimestamp::to_jiff),
                })
            })
            .collect()
    }

    /// Revokes a key; tells whether it was in force until now.
    pub async fn revoke_key(&self, id: Uuid) -> Result<bool, StoreError> {
        let mut tx = self.begin_request("revoke_key").await?;
        let revoked = sqlx::query!(
            "-- revoke_key
            update api_keys set revoked_at = clock_timestamp() where id = $1 and revoked_at is null",
            id
        )
        .run(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(revoked == 1)
    }
}

/// The same within a transaction, by what is committed at this moment.
pub(in crate::store) async fn is_in_force(tx: &mut Tx, id: Uuid) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"-- is_key_in_force
        select exists (select from api_keys where id = $1 and revoked_at is null) as "is_in_force!""#,
        id
    )
    .one(tx)
    .await
}

/// Refuses what is asked with a key that was revoked meanwhile: what is under way may have waited for its body, or for a lock.
pub(in crate::store) async fn ensure_in_force(tx: &mut Tx, id: Uuid) -> Result<(), StoreError> {
    if is_in_force(tx, id).await? { Ok(()) } else { Err(StoreError::Revoked) }
}

fn scopes(words: &[String]) -> Result<Vec<Scope>, StoreError> {
    words.iter().map(|text| word("scope", text)).collect()
}
