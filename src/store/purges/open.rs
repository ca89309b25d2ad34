//! How many purges of an API key have not ended.

use uuid::Uuid;

use crate::store::tx::Rows as _;
use crate::store::{Store, StoreError, Urgency};

impl Store {
    /// Counts them, up to `most`.
    pub async fn open_purges_of(&self, key: Uuid, most: u64) -> Result<u64, StoreError> {
        let mut tx = self.single_request("open_purges_of", Urgency::Ordinary).await?;
        let open = sqlx::query_scalar!(
            r#"-- open_purges_of
            select count(*) as "open!"
            from (select from purges where key_id = $1 and finished_at is null limit $2) open"#,
            key,
            i64::try_from(most).unwrap_or(i64::MAX)
        )
        .one(&mut tx)
        .await?;
        Ok(u64::try_from(open).unwrap_or_default())
    }
}
