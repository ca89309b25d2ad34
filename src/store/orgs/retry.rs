//! A worker starts: the cause of a block may have been fixed, for example by new credentials. So one attempt is let
//! through at once, and some work is made due for it.

use super::lock::lock;
use crate::store::slices::expire::line_up;
use crate::store::tx::{Rows as _, Writes as _};
use crate::store::{Store, StoreError};

/// How many slices, and how many jobs, are made due for the attempt.
const DUE: i64 = 100;

impl Store {
    /// Lets the next try of an org that is blocked, or whose calls have no answer, come at once.
    pub async fn try_at_once(&self, org: &str) -> Result<(), StoreError> {
        let mut tx = self.begin("try_at_once").await?;
        if lock(&mut tx, org).await?.is_blocked {
            sqlx::query!(
                "-- have_jobs_tried
                update jobs j set run_at = clock_timestamp()
                from (
                    select id from jobs
                    where org = $1 and state = 'waiting' and lease_until is null and run_at > clock_timestamp()
                    order by run_at, id
                    limit $2
                    for update
                ) due
                where j.id = due.id",
                org,
                DUE
            )
            .run(&mut tx)
            .await?;
            let purges = sqlx::query_scalar!(
                "-- have_slices_tried
                update slices s set run_at = clock_timestamp()
                from (
                    select purge_id, slice_no from slices
                    where org = $1 and state = 'queued' and run_at > clock_timestamp() and read_again_at is null
                    order by purge_id, slice_no
                    limit $2
                    for update
                ) due
                where (s.purge_id, s.slice_no) = (due.purge_id, due.slice_no)
                returning s.purge_id",
                org,
                DUE
            )
            .all(&mut tx)
            .await?;
            line_up(&mut tx, &purges).await?;
            sqlx::query!(
                "-- have_org_tried
                update orgs set probe_at = least(probe_at, clock_timestamp()) where name = $1",
                org
            )
            .exactly(&mut tx, 1)
            .await?;
        }
        sqlx::query!(
            "-- have_breaker_tried
            update limiters set broken_until = least(broken_until, clock_timestamp())
            where org = $1 and broken_until is not null",
            org
        )
        .run(&mut tx)
        .await?;
        tx.will_wake(org);
        tx.commit().await
    }
}
