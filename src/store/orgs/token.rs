//! When the last token of an org was got: workers tell it here, since whoever is asked may have none in hand.

use std::time::Duration;

use crate::store::tx::Writes as _;
use crate::store::{Store, StoreError};

impl Store {
    /// A worker has a new token, which it asked for so long ago and which lives for so long from now.
    pub async fn note_token(&self, org: &str, age: Duration, expires_in: Duration) -> Result<(), StoreError> {
        let mut tx = self.begin("note_token").await?;
        sqlx::query!(
            "-- note_token
            insert into tokens (org, got_at, expires_at)
            values ($1, clock_timestamp() - make_interval(secs => $2), clock_timestamp() + make_interval(secs => $3))
            on conflict (org) do update set got_at = excluded.got_at, expires_at = excluded.expires_at
            where tokens.got_at < excluded.got_at",
            org,
            age.as_secs_f64(),
            expires_in.as_secs_f64()
        )
        .run(&mut tx)
.await?;
        tx.commit().await
    }
}
