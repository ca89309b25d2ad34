//! How long an org's jobs take, as its polls observe.

use std::time::Duration;

use sqlx::types::Json;

use crate::domain::doubt;
use crate::domain::pace::Pace;
use crate::domain::terms::EngineTerms;
use crate::store::StoreError;
use crate::store::jobs::MISSES;
use crate::store::tx::{Rows as _, Tx, Writes as _};

/// An observation of an org's jobs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::store) struct Observed {
    /// The 99th percentile of the durations of its last jobs, or the age of the oldest that still runs.
    longest: Option<Duration>,
    /// The longest time from a job's end to an id seen gone.
    pub(in crate::store) lag: Option<Duration>,
}

impl Observed {
    /// How long to wait before asking what became of a submit without an answer.
    pub(in crate::store) fn window(&self, terms: &EngineTerms) -> Duration {
        let window = doubt::window(terms.ambiguity_grace, self.longest, self.lag.unwrap_or_default());
        window.min(terms.job_deadline)
    }
}

/// Learns from a job that ended; the pace's row is locked last.
pub(in crate::store) async fn learn(
    tx: &mut Tx,
    org: &str,
    size: usize,
    seen_running: Option<Duration>,
    ended_by: Duration,
) -> Result<(), StoreError> {
    let row = sqlx::query!(
        r#"-- lock_pace
        select model as "model: Json<Pace>" from paces where org = $1 for update"#,
        org
    )
    .one(tx)
    .await?;
    let learned = row.model.0.learn(size, seen_running, ended_by);
    sqlx::query!(
        "-- learn_pace
        update paces set model = $2 where org = $1",
        org,
        Json(learned) as _
    )
    .run(tx)
    .await?;
    Ok(())
}

/// What the org's last hundred jobs showed, and those that run.
pub(in crate::store) async fn observed(tx: &mut Tx, org: &str) -> Result<Observed, StoreError> {
    let row = sqlx::query!(
        "-- observed_jobs
        select greatest(
                   percentile_cont(0.99) within group (order by extract(epoch from ended_at - submitted_at)::float8),
                   (
                       select max(extract(epoch from clock_timestamp() - submitted_at))::float8
                       from jobs
                       where org = $1 and state = 'submitted' and overdue_since is null
                   )
               ) as longest,
               max(lag_seconds) as lag
        from (
            select ended_at, submitted_at, lag_seconds
            from jobs
            where org = $1 and ended_at is not null and submitted_at is not null and overdue_since is null
              and misses < $2
            order by ended_at desc
            limit 100
        ) recent",
        org,
        MISSES
    )
    .one(tx)
    .await?;
    let duration =
        |seconds: Option<f64>| seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Ok(Observed { longest: duration(row.longest), lag: duration(row.lag) })
}
