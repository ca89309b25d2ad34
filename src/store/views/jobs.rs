//! The jobs that carry some of a purge's conversations, oldest first.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::keys::Reach;
use crate::domain::state::{JobResult, JobState};
use crate::store::purges::load::is_there;
use crate::store::tx::Rows as _;
use crate::store::{Store, StoreError};

/// One job, as seen from a purge or as a whole.
#[derive(Debug, Clone)]
pub struct JobRow {
    pub id: Uuid,
    pub state: JobState,
    pub result: Option<JobResult>,
    /// Genesys' id of it.
    pub upstream_job_id: Option<String>,
    /// The last state from upstream.
    pub upstream_state: Option<String>,
    /// How many conversations it carries: of the purge that it is seen from, or all.
    pub conversations: i64,
    /// As last reported by upstream.
    pub records_processed: Option<i64>,
    pub attempt: i32,
    /// When upstream took it.
    pub submitted_at: Option<Timestamp>,
    /// When it was done.
    pub finished_at: Option<Timestamp>,
    /// From the submit to the poll that found it ended.
    pub latency_seconds: Option<f64>,
    /// The last error.
    pub last_error: Option<Value>,
}

impl Store {
    /// Up to `limit` jobs of a purge with ids after `after`; `None` where there is no such purge within the reach.
    pub async fn jobs_of(
        &self,
        reach: &Reach,
        purge: Uuid,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Option<Vec<JobRow>>, StoreError> {
        let mut tx = self.begin_request("jobs_of").await?;
        if !is_there(&mut tx, reach, purge).await? {
            return Ok(None);
        }
        let rows = sqlx::query_as!(
            Row,
            r#"-- jobs_of
            select j.id, j.state as "state: JobState", j.result as "result: JobResult", j.upstream_job_id, j.upstream_state,
                   p.conversations as "conversations!", j.records_processed, j.attempt, j.submitted_at, j.finished_at,
                   extract(epoch from j.ended_at - j.submitted_at)::float8 as latency_seconds, j.last_error
            from (
                select job_id, sum(cardinality(positions))::bigint as conversations
                from job_parts
                where purge_id = $1 and ($2::uuid is null or job_id > $2)
                group by job_id
                order by job_id
                limit $3
            ) p
            join jobs j on j.id = p.job_id
            order by j.id"#,
            purge,
            after,
            limit
        )
        .all(&mut tx)
        .await?;
        rows.into_iter().map(JobRow::try_from).collect::<Result<_, _>>().map(Some)
    }
}

/// A job as it is stored.
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) state: JobState,
    pub(super) result: Option<JobResult>,
    pub(super) upstream_job_id: Option<String>,
    pub(super) upstream_state: Option<String>,
    pub(super) conversations: i64,
    pub(super) records_processed: Option<i64>,
    pub(super) attempt: i32,
    pub(super) submitted_at: Option<SqlTimestamp>,
    pub(super) finished_at: Option<SqlTimestamp>,
    pub(super) latency_seconds: Option<f64>,
    pub(super) last_error: Option<Value>,
}

impl TryFrom<Row> for JobRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            state: row.state,
            result: row.result,
            upstream_job_id: row.upstream_job_id,
            upstream_state: row.upstream_state,
            conversations: row.conversations,
            records_processed: row.records_processed,
            attempt: row.attempt,
            submitted_at: row.submitted_at.map(SqlTimestamp::to_jiff),
            finished_at: row.finished_at.map(SqlTimestamp::to_jiff),
            latency_seconds: row.latency_seconds,
            last_error: row.last_error,
        })
    }
}
