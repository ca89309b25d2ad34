//! At start: writes an org's rules, and raises their epoch where they changed.

use crate::domain::retention::Policy;
use crate::store::tx::Writes as _;
use crate::store::{Store, StoreError};

impl Store {
    /// Makes the org known, with these rules in force from now on.
    pub async fn enroll_org(&self, org: &str, policy: &Policy) -> Result<(), StoreError> {
        let unreadable =
            |error: serde_json::Error| StoreError::Unreadable { what: "policy", detail: error.to_string() };
        let policy = serde_json::to_value(policy).map_err(unreadable)?;
        let mut tx = self.begin("enroll_org").await?;
        // The update takes the org's lock, so that intents are exactly before or after the change.
        sqlx::query!(
            "-- enroll_org
            insert into orgs (name, policy) values ($1, $2)
            on conflict (name) do update
            set policy = excluded.policy,
                policy_epoch = orgs.policy_epoch + (orgs.policy <> excluded.policy)::int",
            org,
            policy
        )
        .run(&mut tx)
        .await?;
        sqlx::query!("-- enroll_limiter\ninsert into limiters (org) values ($1) on conflict do nothing", org)
            .run(&mut tx)
            .await?;
        sqlx::query!("-- enroll_pace\ninsert into paces (org) values ($1) on conflict do nothing", org)
            .run(&mut tx)
            .await?;
        tx.commit().await
    }
}
