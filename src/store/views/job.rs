//! One whole job, by our id or by Genesys'.

use uuid::Uuid;

use super::jobs::{JobRow, Row};
use crate::domain::keys::Reach;
use crate::domain::state::{JobResult, JobState};
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// A job with its contents.
#[derive(Debug, Clone)]
pub struct WholeJob {
    pub job: JobRow,
    pub org: String,
    /// The purges whose conversations it carries, and how many of each.
    pub purges: Vec<(Uuid, i64)>,
}

/// The kind of an id.
#[derive(Debug, Clone)]
pub enum FoundJob {
    /// Nothing that may be known.
    Nothing,
    One(Box<WholeJob>),
    /// Jobs of several orgs: Genesys' ids are unique within an org only.
    Ambiguous,
}

impl Store {
    /// The job with this id, ours or Genesys', within the reach. Ours goes first.
    pub async fn job(&self, reach: &Reach, id: &str) -> Result<FoundJob, StoreError> {
        // Postgres knows no text with a NUL, so no job has such an id.
        if id.contains('\0') {
            return Ok(FoundJob::Nothing);
        }
        let mut tx = self.begin_request("job").await?;
        let found = match Uuid::try_parse(id).ok() {
            Some(ours) => by_our_id(&mut tx, reach, ours).await?.map(|found| vec![found]),
            None => None,
        };
        let mut found = match found {
            Some(found) => found,
            None => by_upstream_id(&mut tx, reach, id).await?,
        };
        match (found.pop(), found.is_empty()) {
            (None, _) => Ok(FoundJob::Nothing),
            (Some((job, org)), true) => {
                let purges = shares_of(&mut tx, job).await?;
                let job = load(&mut tx, job).await?;
                Ok(FoundJob::One(Box::new(WholeJob { job, org, purges })))
            }
            (Some(_), false) => Ok(FoundJob::Ambiguous),
        }
    }
}

async fn by_our_id(tx: &mut Tx, reach: &Reach, id: Uuid) -> Result<Option<(Uuid, String)>, StoreError> {
    let row = sqlx::query!(
        "-- job_by_our_id
        select id, org from jobs where id = $1 and ($2::text[] is null or org = any($2))",
        id,
        reach.orgs()
    )
    .maybe(tx)
    .await?;
    Ok(row.map(|row| (row.id, row.org)))
}

async fn by_upstream_id(tx: &mut Tx, reach: &Reach, id: &str) -> Result<Vec<(Uuid, String)>, StoreError> {
    let rows = sqlx::query!(
        "-- jobs_by_upstream_id
        select j.id, j.org
        from orgs o
        join jobs j on j.org = o.name and j.upstream_job_id = $1
        where $2::text[] is null or o.name = any($2)
        limit 2",
        id,
        reach.orgs()
    )
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.org)).collect())
}

async fn load(tx: &mut Tx, id: Uuid) -> Result<JobRow, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"-- job
        select id, state as "state: JobState", result as "result: JobResult", upstream_job_id, upstream_state,
               coalesce((
                   select sum(cardinality(positions)) from job_parts where job_id = $1
               ), 0)::bigint as "conversations!",
               records_processed, attempt, submitted_at, finished_at,
               extract(epoch from ended_at - submitted_at)::float8 as latency_seconds, last_error
        from jobs
        where id = $1"#,
        id
    )
    .one(tx)
    .await?;
    row.try_into()
}

async fn shares_of(tx: &mut Tx, id: Uuid) -> Result<Vec<(Uuid, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"-- shares_of_job
        select purge_id, sum(cardinality(positions))::bigint as "conversations!"
        from job_parts
        where job_id = $1
        group by purge_id
        order by purge_id"#,
        id
    )
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.purge_id, row.conversations)).collect())
}
