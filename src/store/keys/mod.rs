//! API keys: made, found, listed, revoked. A key itself is never stored, only its digest.

mod create;
mod uses;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::error::word;
use super::events::Actor;
use super::{Store, StoreError, Urgency};
use crate::domain::keys::{Caller, Scope};
use crate::store::tx::{Rows as _, Tx, Writes as _};

pub(in crate::store) use uses::Uses;

/// A key, as it is listed.
#[derive(Debug, Clone)]
pub struct KeyRow {
    pub id: Uuid,
    pub prefix: String,
    /// Its name, its scopes, and the orgs it is limited to.
    pub caller: Caller,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// When a request last brought it, to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// It counts at present.
    pub is_in_force: bool,
}

/// The result of checking a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Brought {
    /// Its id, and whose it is.
    InForce(Uuid, Caller),
    /// It was in force until then.
    Expired(Timestamp),
    /// It was never created, or it was revoked.
    Unknown,
}

impl Brought {
    pub fn in_force(self) -> Option<(Uuid, Caller)> {
        match self {
            Self::InForce(id, caller) => Some((id, caller)),
            Self::Expired(_) | Self::Unknown => None,
        }
    }
}

/// Who acts: the key, its name, the request, and the reason.
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
    /// Checks this key and records its use.
    pub async fn find_caller(&self, key: &str, urgency: Urgency) -> Result<Brought, StoreError> {
        let mut tx = self.single_request("find_caller", urgency).await?;
        let row = sqlx::query!(
            r#"-- find_caller
            select
                id, name, scopes, orgs, expires_at as "expires_at: SqlTimestamp",
                is_key_in_force(revoked_at, expires_at) as "is_in_force!",
                clock_timestamp() as "asked_at!: SqlTimestamp"
            from api_keys
            where sha256 = $1 and revoked_at is null"#,
            digest(key)
        )
        .maybe(&mut tx)
        .await?;
        let Some(row) = row else { return Ok(Brought::Unknown) };
        if let (false, Some(expired_at)) = (row.is_in_force, row.expires_at) {
            return Ok(Brought::Expired(expired_at.to_jiff()));
        }
        self.uses.note(row.id, row.asked_at.to_jiff());
        let caller = Caller { name: row.name, scopes: scopes(&row.scopes)?, reach: row.orgs.into() };
        Ok(Brought::InForce(row.id, caller))
    }

    /// Whose the key with this id is; `None` for one that is unknown, was revoked or has expired.
    pub async fn caller_of_key(&self, id: Uuid, urgency: Urgency) -> Result<Option<Caller>, StoreError> {
        let mut tx = self.single_request("caller_of_key", urgency).await?;
        let row = sqlx::query!(
            r#"-- caller_of_key
            select name, scopes, orgs, clock_timestamp() as "asked_at!: SqlTimestamp"
            from api_keys
            where id = $1 and is_key_in_force(revoked_at, expires_at)"#,
            id
        )
        .maybe(&mut tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        self.uses.note(id, row.asked_at.to_jiff());
        Ok(Some(Caller { name: row.name, scopes: scopes(&row.scopes)?, reach: row.orgs.into() }))
    }

    /// Whether the key with this id counts still.
    pub async fn is_key_in_force(&self, id: Uuid) -> Result<bool, StoreError> {
        is_in_force(&mut self.single_request("is_key_in_force", Urgency::Ordinary).await?, id).await
    }

    /// All keys, oldest first.
    pub async fn list_keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        let mut tx = self.begin_request("list_keys").await?;
        let rows = sqlx::query!(
            r#"-- list_keys
            select
                id, name, prefix, scopes, orgs, created_at, revoked_at, expires_at as "expires_at: SqlTimestamp",
                last_used_at as "last_used_at: SqlTimestamp", is_key_in_force(revoked_at, expires_at) as "is_in_force!"
            from api_keys
            order by id"#
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
                    expires_at: row.expires_at.map(SqlTimestamp::to_jiff),
                    last_used_at: row.last_used_at.map(SqlTimestamp::to_jiff),
                    is_in_force: row.is_in_force,
                })
            })
            .collect()
    }

    /// Revokes a key; returns whether it was valid until now.
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
        select exists (
            select from api_keys where id = $1 and is_key_in_force(revoked_at, expires_at)
        ) as "is_in_force!""#,
        id
    )
    .one(tx)
    .await
}

/// Refuses requests whose key was revoked or has expired meanwhile: a running request may have waited for its body, or
/// for a lock.
pub(in crate::store) async fn ensure_in_force(tx: &mut Tx, id: Uuid) -> Result<(), StoreError> {
    if is_in_force(tx, id).await? { Ok(()) } else { Err(StoreError::Revoked) }
}

fn scopes(words: &[String]) -> Result<Vec<Scope>, StoreError> {
    words.iter().map(|text| word("scope", text)).collect()
}
