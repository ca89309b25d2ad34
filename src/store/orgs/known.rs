//! The names of all orgs that the database knows.

use crate::store::tx::Rows as _;
use crate::store::{Store, StoreError, Urgency};

impl Store {
    pub async fn known_orgs(&self) -> Result<Vec<String>, StoreError> {
        let mut tx = self.single_request("known_orgs", Urgency::Ordinary).await?;
        sqlx::query_scalar!(
            "-- known_orgs
            select name from orgs order by name"
        )
        .all(&mut tx)
        .await
    }
}
