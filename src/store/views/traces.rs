//! The traces of purges, and the purges of jobs.

use uuid::Uuid;

use crate::store::tx::Rows as _;
use crate::store::{Store, StoreError};

impl Store {
    /// The `traceparent` of the request of each of these purges, if it had one.
    pub async fn traceparents(&self, purges: &[Uuid]) -> Result<Vec<(Uuid, Option<String>)>, StoreError> {
        let mut tx = self.single("traceparents").await?;
        let rows = sqlx::query!(
            r#"-- traceparents
            select purge_id as "purge!", payload->>'traceparent' as traceparent
            from events
            where purge_id = any($1) and event_no = 1"#,
            purges
        )
        .all(&mut tx)
        .await?;
        Ok(rows.into_iter().map(|row| (row.purge, row.traceparent)).collect())
    }

    /// Some of the purges in these jobs.
    pub async fn some_purges_of_jobs(&self, jobs: &[Uuid], most: usize) -> Result<Vec<Uuid>, StoreError> {
        let mut tx = self.single("some_purges_of_jobs").await?;
        let rows = sqlx::query_scalar!(
            "-- some_purges_of_jobs
            select distinct purge_id from job_parts where job_id = any($1) order by purge_id limit $2",
            jobs,
            i64::try_from(most).unwrap_or(i64::MAX)
        )
        .all(&mut tx)
        .await?;
        Ok(rows)
    }
}
