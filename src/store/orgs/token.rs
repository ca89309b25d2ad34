//! When the last token of an org was issued, or why it gets none: workers record it here for the API processes, which
//! do not know it themselves.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;

use crate::store::tx::Writes as _;
use crate::store::{Store, StoreError};

impl Store {
    /// A worker has a new token: how long ago it requested it, and its remaining life.
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
        sqlx::query!("-- forget_login_trouble\ndelete from login_troubles where org = $1", org)
            .run(&mut tx)
            .await?;
        tx.commit().await
    }

    /// There is no token, since then and for this reason.
    pub async fn note_login_trouble(
        &self,
        org: &str,
        since: Timestamp,
        detail: &str,
        next_try_in: Duration,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin("note_login_trouble").await?;
        sqlx::query!(
            "-- note_login_trouble
            insert into login_troubles as t (org, since, detail, next_try_at)
            values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4))
            on conflict (org) do update
            set since = least(t.since, excluded.since), detail = excluded.detail, next_try_at = excluded.next_try_at",
            org,
            since.to_sqlx() as _,
            detail,
            next_try_in.as_secs_f64()
        )
        .run(&mut tx)
        .await?;
        tx.commit().await
    }
}
