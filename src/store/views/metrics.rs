//! Gauges from the database: they count only open work.

use crate::domain::state::{JobState, PurgeState};
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// Everything that was read. The statements see moments that follow one another.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    pub orgs: Vec<OrgReading>,
    /// Open purges of an org in a state.
    pub purges: Vec<PurgesReading>,
    /// Unfinished jobs of an org in a state.
    pub jobs: Vec<JobsReading>,
    pub deliveries: DeliveriesReading,
    /// Events that have no number in the feed yet.
    pub unstamped: i64,
}

#[derive(Debug, Clone)]
pub struct OrgReading {
    pub org: String,
    /// Why it is blocked, if it is.
    pub blocked_code: Option<String>,
    /// An operator stopped it.
    pub is_stopped: bool,
    /// Every process that works for it is paused.
    pub is_paused: bool,
    /// Slices that can't be read.
    pub parked: i64,
}

/// The open purges of an org in one state.
#[derive(Debug, Clone)]
pub struct PurgesReading {
    pub org: String,
    pub state: PurgeState,
    pub number: i64,
    /// Their conversations that need facts.
    pub pending: i64,
    /// Those that may be submitted.
    pub eligible: i64,
    /// Those whose fate is open.
    pub submitted: i64,
    /// Since the oldest was accepted.
    pub oldest_seconds: f64,
}

/// The jobs of an org in one state.
#[derive(Debug, Clone)]
pub struct JobsReading {
    pub org: String,
    pub state: JobState,
    pub number: i64,
}

/// Deliveries that did not arrive.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveriesReading {
    /// Those that wait for an attempt.
    pub pending: i64,
    /// Those that are given up.
    pub dead: i64,
    /// Since the oldest pending one was written.
    pub oldest_pending_seconds: Option<f64>,
}

impl Store {
    /// Reads the gauges of the database; the server cancels a statement after two seconds.
    pub async fn readings(&self) -> Result<Readings, StoreError> {
        let mut tx = self.begin_request("readings").await?;
        sqlx::query!(
            r#"-- limit_readings
            select set_config('statement_timeout', '2s', true) as "limit""#
        )
        .one(&mut tx)
        .await?;
        Ok(Readings {
            orgs: orgs(&mut tx).await?,
            purges: purges(&mut tx).await?,
            jobs: jobs(&mut tx).await?,
            deliveries: deliveries(&mut tx).await?,
            unstamped: unstamped(&mut tx).await?,
        })
    }
}

async fn orgs(tx: &mut Tx) -> Result<Vec<OrgReading>, StoreError> {
    sqlx::query_as!(
        OrgReading,
        r#"-- readings_orgs
        select name as org, blocked_code, stopped_at is not null as "is_stopped!",
               exists (select from paused_orgs where org = name) as "is_paused!",
               (select count(*) from slices where org = name and parked_at is not null) as "parked!"
        from orgs
        order by name"#
    )
    .all(tx)
    .await
}

async fn purges(tx: &mut Tx) -> Result<Vec<PurgesReading>, StoreError> {
    let rows = sqlx::query!(
        r#"-- readings_purges
        select org, state as "state: PurgeState", count(*) as "number!", sum(pending)::bigint as "pending!",
               sum(eligible)::bigint as "eligible!", sum(submitted)::bigint as "submitted!",
               extract(epoch from clock_timestamp() - min(created_at))::float8 as "oldest!"
        from purges
        where finished_at is null
        group by org, state"#
    )
    .all(tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(PurgesReading {
                org: row.org,
                state: row.state,
                number: row.number,
                pending: row.pending,
                eligible: row.eligible,
                submitted: row.submitted,
                oldest_seconds: row.oldest,
            })
        })
        .collect()
}

async fn jobs(tx: &mut Tx) -> Result<Vec<JobsReading>, StoreError> {
    let rows = sqlx::query!(
        r#"-- readings_jobs
        select org, state as "state: JobState", count(*) as "number!"
        from jobs
        where state <> 'done'
        group by org, state"#
    )
    .all(tx)
    .await?;
    rows.into_iter()
        .map(|row| Ok(JobsReading { org: row.org, state: row.state, number: row.number }))
        .collect()
}

async fn deliveries(tx: &mut Tx) -> Result<DeliveriesReading, StoreError> {
    sqlx::query_as!(
        DeliveriesReading,
        r#"-- readings_deliveries
        select pending.number as "pending!", dead.number as "dead!",
               extract(epoch from clock_timestamp() - pending.oldest)::float8 as oldest_pending_seconds
        from (select count(*) as number, min(created_at) as oldest from deliveries where state = 'pending') pending
        cross join (select count(*) as number from deliveries where state = 'dead') dead"#
    )
    .one(tx)
    .await
}

async fn unstamped(tx: &mut Tx) -> Result<i64, StoreError> {
    sqlx::query_scalar!("-- readings_unstamped\nselect count(*) as \"number!\" from events_unstamped")
        .one(tx)
        .await
}
