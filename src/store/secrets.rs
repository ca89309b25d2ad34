//! Secrets that are generated at the first start and never change.

use secrecy::SecretString;

use super::{Store, StoreError};
use crate::store::tx::{Rows as _, Tx, Writes as _};

/// The name of the secret of the operator's receiver.
pub const RETENTION_SECRET: &str = "retention_webhook";

/// The name of the secret that signs the sessions of the admin pages.
pub const SESSION_SECRET: &str = "admin_sessions";

impl Store {
    /// The secret of that name; `fresh` if there is none yet: the first process wins.
    pub async fn keep_secret(&self, name: &str, fresh: &str) -> Result<String, StoreError> {
        let mut tx = self.begin_request("keep_secret").await?;
        let value = sqlx::query_scalar!(
            "-- keep_secret
            insert into service_secrets (name, value) values ($1, $2)
            on conflict (name) do update set name = excluded.name
            returning value",
            name,
            fresh
        )
        .one(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(value)
    }

    /// Replaces the secret of that name by `fresh`; the old one signs too for a day.
    pub async fn rotate_secret(&self, name: &str, fresh: &str) -> Result<(), StoreError> {
        let mut tx = self.begin_request("rotate_secret").await?;
        sqlx::query!(
            "-- keep_previous_secret
            insert into service_secrets (name, value, until)
            select name || '_previous', value, clock_timestamp() + interval '24 hours' from service_secrets
            where name = $1
            on conflict (name) do update set value = excluded.value, until = excluded.until",
            name
        )
        .run(&mut tx)
        .await?;
        sqlx::query!(
            "-- rotate_secret
            insert into service_secrets (name, value) values ($1, $2)
            on conflict (name) do update set value = excluded.value",
            name,
            fresh
        )
        .run(&mut tx)
        .await?;
        tx.commit().await
    }
}

/// The secret of that name, and the one before as long as it signs, too.
pub(super) async fn kept_secrets(tx: &mut Tx, name: &str) -> Result<Vec<SecretString>, StoreError> {
    let values = sqlx::query_scalar!(
        "-- kept_secrets
        select value from service_secrets
        where name = $1 or (name = $1 || '_previous' and until > clock_timestamp())
        order by name",
        name
    )
    .all(tx)
    .await?;
    Ok(values.into_iter().map(SecretString::from).collect())
}
