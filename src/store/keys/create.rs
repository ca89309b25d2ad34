//! New keys.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use super::digest;
use crate::domain::keys::{Caller, SHOWN};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// Creating a key holds this lock: of two requests for one name, the second sees the first.
const ONE_AT_A_TIME: i64 = 0x6b65_7973;

impl Store {
    /// Stores the digest of a new key, whatever others are called.
    pub async fn create_key(&self, key: &str, caller: &Caller) -> Result<Uuid, StoreError> {
        let mut tx = self.begin_request("create_key").await?;
        let id = self.insert_key(&mut tx, key, caller, None).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// The same with an expiry and a name that no valid key may have; `None` if one has it.
    pub async fn create_named_key(
        &self,
        key: &str,
        caller: &Caller,
        expires_at: Option<Timestamp>,
    ) -> Result<Option<Uuid>, StoreError> {
        let mut tx = self.begin_request("create_named_key").await?;
        sqlx::query_scalar!(
            r#"-- lock_key_names
            select true as "is_locked!" from pg_advisory_xact_lock($1)"#,
            ONE_AT_A_TIME
        )
        .one(&mut tx)
        .await?;
        let is_taken = sqlx::query_scalar!(
            r#"-- is_key_name_taken
            select exists (
                select from api_keys where name = $1 and is_key_in_force(revoked_at, expires_at)
            ) as "is_taken!""#,
            caller.name
        )
        .one(&mut tx)
        .await?;
        if is_taken {
            return Ok(None);
        }
        let id = self.insert_key(&mut tx, key, caller, expires_at).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    async fn insert_key(
        &self,
        tx: &mut Tx,
        key: &str,
        caller: &Caller,
        expires_at: Option<Timestamp>,
    ) -> Result<Uuid, StoreError> {
        let id = self.new_id();
        let scopes: Vec<String> = caller.scopes.iter().map(ToString::to_string).collect();
        sqlx::query!(
            "-- create_key
            insert into api_keys (id, name, prefix, sha256, scopes, orgs, expires_at)
            values ($1, $2, $3, $4, $5, $6, $7)",
            id,
            caller.name,
            key.get(..SHOWN).unwrap_or(key),
            digest(key),
            &scopes,
            caller.reach.orgs(),
            expires_at.map(ToSqlx::to_sqlx) as _
        )
        .run(tx)
        .await?;
        Ok(id)
    }
}
