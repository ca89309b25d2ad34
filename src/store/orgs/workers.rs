//! Which processes work for an org, and whether they may start work.

use std::time::Duration;

use uuid::Uuid;

use crate::store::tx::Writes as _;
use crate::store::{Store, StoreError};

impl Store {
    /// This process lives and works for these orgs, until it is seen again. Those that were not seen for long are forgotten.
    pub async fn note_worker(
        &self,
        worker: Uuid,
        orgs: &[String],
        is_paused: bool,
        until: Duration,
    ) -> Result<(), StoreError> {
        let mut tx = self.single("note_worker").await?;
        sqlx::query!(
            "-- note_worker
            with forgotten as (
                delete from org_workers where seen_until < clock_timestamp() - interval '1 hour'
            )
            insert into org_workers (org, worker, is_paused, since, seen_until)
            select org, $1, $3, clock_timestamp(), clock_timestamp() + make_interval(secs => $4)
            from unnest($2::text[]) as o (org)
            on conflict (org, worker) do update set seen_until = excluded.seen_until",
            worker,
            orgs,
            is_paused,
            until.as_secs_f64()
        )
        .run(&mut tx)
        .await?;
        tx.commit().await
    }

    /// It works no more.
    pub async fn forget_worker(&self, worker: Uuid) -> Result<(), StoreError> {
        let mut tx = self.single("forget_worker").await?;
        sqlx::query!("-- forget_worker\ndelete from org_workers where worker = $1", worker)
            .run(&mut tx)
            .await?;
        tx.commit().await
    }
}
