//! Values that are made once, at the first start, and must then stay.

use super::{Store, StoreError};
use crate::store::tx::Rows as _;

impl Store {
    /// The secret of that name; `fresh` becomes it where there is none yet, whichever process comes first.
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
}
