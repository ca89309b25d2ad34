//! Repeats of requests: an idempotency key stands for one purge, so that repeating a request that may have arrived is
//! safe.
//!
//! The key is written in the transaction that accepts the purge: either both are there or neither. Two requests with
//! one key meet at a lock; the second does not wait for it but polls.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError, Urgency};

/// How long keys are kept, counted from the accept.
pub const KEPT_DAYS: i32 = 7;

/// What identifies a repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepeatKey {
    /// Whose key it is: the id of the API key.
    pub caller: Uuid,
    pub key: String,
    /// Of everything that was asked for.
    pub fingerprint: [u8; 32],
}

/// The purge of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// The same was asked for before: this purge came of it.
    Repeated(Uuid),
    /// Something else was asked for.
    Misused,
}

impl Store {
    /// The purge of the key, if there is one yet.
    pub async fn find_repeat(&self, key: &RepeatKey) -> Result<Option<Before>, StoreError> {
        let mut tx = self.begin_request("find_repeat").await?;
        let row = sqlx::query!(
            "-- find_repeat
            select purge_id, fingerprint
            from idempotency_keys
            where key_id = $1 and key = $2 and created_at >= clock_timestamp() - make_interval(days => $3)",
            key.caller,
            key.key,
            KEPT_DAYS
        )
        .maybe(&mut tx)
        .await?;
        Ok(row.map(|row| {
            let is_same = row.fingerprint == key.fingerprint;
            if is_same { Before::Repeated(row.purge_id) } else { Before::Misused }
        }))
    }

    /// Whether this key of that caller has a purge, whatever the request was.
    pub async fn is_known_repeat(&self, caller: Uuid, key: &str) -> Result<bool, StoreError> {
        let mut tx = self.single_request("is_known_repeat", Urgency::Ordinary).await?;
        sqlx::query_scalar!(
            r#"-- is_known_repeat
            select exists (
                select from idempotency_keys
                where key_id = $1 and key = $2 and created_at >= clock_timestamp() - make_interval(days => $3)
            ) as "is_known!""#,
            caller,
            key,
            KEPT_DAYS
        )
        .one(&mut tx)
        .await
    }

    /// Removes expired keys; returns how many.
    pub async fn forget_repeats(&self) -> Result<u64, StoreError> {
        let mut tx = self.begin("forget_repeats").await?;
        let done = sqlx::query!(
            "-- forget_repeats
            delete from idempotency_keys where created_at < clock_timestamp() - make_interval(days => $1)",
            KEPT_DAYS
        )
        .run(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(done)
    }
}

/// Until its end only this transaction may use the key; `false` if another one is using it.
pub(super) async fn lock(tx: &mut Tx, key: &RepeatKey) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"-- lock_repeat_key
        select pg_try_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0)) as "is_locked!""#,
        key.caller.to_string(),
        key.key
    )
    .one(tx)
    .await
}

/// Records this purge for the key; `false` if it has another one.
pub(super) async fn claim(
    tx: &mut Tx,
    key: &RepeatKey,
    purge: Uuid,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let claimed = sqlx::query!(
        "-- claim_repeat_key
        insert into idempotency_keys as k (key_id, key, fingerprint, purge_id, created_at)
        values ($1, $2, $3, $4, $5)
        on conflict (key_id, key) do update
        set fingerprint = excluded.fingerprint, purge_id = excluded.purge_id, created_at = excluded.created_at
        where k.created_at < excluded.created_at - make_interval(days => $6)",
        key.caller,
        key.key,
        &key.fingerprint[..],
        purge,
        now.to_sqlx() as _,
        KEPT_DAYS
    )
    .run(tx)
    .await?;
    Ok(claimed == 1)
}
