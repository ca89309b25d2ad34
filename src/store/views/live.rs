//! The state of streamed purges: a few bytes each, read for all of them at once.

use uuid::Uuid;

use super::events::{EventRow, Row};
use super::jobs::{self, JobRow};
use crate::domain::counts::Tally;
use crate::domain::events::EventType;
use crate::domain::keys::Reach;
use crate::domain::state::{JobResult, JobState, PurgeState};
use crate::store::purges::load::counts_of;
use crate::store::tx::Rows as _;
use crate::store::{Store, StoreError, Urgency};

/// The state of a purge at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeLook {
    pub id: Uuid,
    pub state: PurgeState,
    /// Which run it is in.
    pub run: i32,
    /// The number of its last event.
    pub event_no: i32,
    pub counts: Tally,
}

impl Store {
    /// Those of the purges that are within the reach.
    pub async fn look_at_purges(&self, reach: &Reach, purges: &[Uuid]) -> Result<Vec<PurgeLook>, StoreError> {
        let mut tx = self.single_request("look_at_purges", Urgency::Ordinary).await?;
        let rows = sqlx::query!(
            r#"-- look_at_purges
            select id, state as "state: PurgeState", run, event_no, duplicates, pending, eligible, submitted, purged,
                   already_purged, on_hold, retained, not_found, active, failed, canceled, would_purge
            from purges
            where id = any($1) and ($2::text[] is null or org = any($2))"#,
            purges,
            reach.orgs()
        )
        .all(&mut tx)
        .await?;
        let looks = rows.into_iter().map(|row| PurgeLook {
            id: row.id,
            state: row.state,
            run: row.run,
            event_no: row.event_no,
            counts: Tally::new(&counts_of!(row), row.duplicates),
        });
        Ok(looks.collect())
    }

    /// The jobs of these purges that are not done, and those of them that were not before; each with its purge.
    pub async fn jobs_underway(
        &self,
        reach: &Reach,
        purges: &[Uuid],
        before: &[Uuid],
    ) -> Result<Vec<(Uuid, JobRow)>, StoreError> {
        let mut tx = self.single_request("jobs_underway", Urgency::Ordinary).await?;
        let rows = sqlx::query!(
            r#"-- jobs_underway
            select p.purge_id, j.id, j.state as "state: JobState", j.result as "result: JobResult", j.upstream_job_id,
                   j.upstream_state, sum(cardinality(p.positions))::bigint as "conversations!", j.records_processed, j.attempt,
                   j.submitted_at, j.finished_at,
                   extract(epoch from j.ended_at - j.submitted_at)::float8 as latency_seconds, j.last_error
            from jobs j
            join job_parts p on p.job_id = j.id
            where (j.state <> 'done' or j.id = any($2)) and p.purge_id = any($1)
              and ($3::text[] is null or j.org = any($3))
            group by p.purge_id, j.id
            order by j.id"#,
            purges,
            before,
            reach.orgs()
        )
        .all(&mut tx)
        .await?;
        let jobs = rows.into_iter().map(|row| {
            let job = jobs::Row {
                id: row.id,
                state: row.state,
                result: row.result,
                upstream_job_id: row.upstream_job_id,
                upstream_state: row.upstream_state,
                conversations: row.conversations,
                records_processed: row.records_processed,
                attempt: row.attempt,
                submitted_at: row.submitted_at,
                finished_at: row.finished_at,
                latency_seconds: row.latency_seconds,
                last_error: row.last_error,
            };
            Ok((row.purge_id, job.try_into()?))
        });
        jobs.collect()
    }

    /// Up to `limit` events of purges, each from after a number on, in the order of each purge.
    pub async fn missed_events(
        &self,
        reach: &Reach,
        known: &[(Uuid, i32)],
        limit: i64,
    ) -> Result<Vec<(Uuid, EventRow)>, StoreError> {
        let (purges, numbers): (Vec<Uuid>, Vec<i32>) = known.iter().copied().unzip();
        let mut tx = self.single_request("missed_events", Urgency::Ordinary).await?;
        let rows = sqlx::query_as!(
            Row,
            r#"-- missed_events
            select e.purge_id as "purge_id!", e.event_no as "event_no!", e.id, e.type as "event: EventType", e.at, e.actor,
                   e.request_id, e.job_id, e.payload, j.upstream_job_id as "upstream_job_id?"
            from unnest($1::uuid[], $2::int[]) as known (purge_id, event_no)
            join events e on e.purge_id = known.purge_id and e.event_no > known.event_no
            left join jobs j on j.id = e.job_id
            where $3::text[] is null or e.org = any($3)
            order by e.purge_id, e.event_no
            limit $4"#,
            &purges,
            &numbers,
            reach.orgs(),
            limit
        )
        .all(&mut tx)
        .await?;
        Ok(rows.into_iter().map(|row| (row.purge_id, row.into())).collect())
    }
}
