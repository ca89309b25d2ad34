//! The last hours and the oldest open work: each read by an index that begins with the org, with a limit on the rows.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use uuid::Uuid;

use crate::domain::keys::Reach;
use crate::domain::state::PurgeState;
use crate::store::purges::load::{Purge, load};
use crate::store::tx::Rows as _;
use crate::store::{Store, StoreError};

/// How many of the newest purges of each org and state count for the overview.
pub const NEWEST: i64 = 1000;

/// The upstream jobs of an org that ended within an hour.
#[derive(Debug, Clone)]
pub struct HourOfJobs {
    /// Its first moment.
    pub hour: Timestamp,
    /// The conversations in jobs that went through.
    pub completed: i64,
    /// Those in other jobs.
    pub others: i64,
}

/// The purges that were accepted within an hour; dry runs do not count.
#[derive(Debug, Clone)]
pub struct HourOfPurges {
    /// Its first moment.
    pub hour: Timestamp,
    pub purged: i64,
    pub already_purged: i64,
    /// Protected by a hold or a retention period.
    pub protected: i64,
    pub failed: i64,
    /// Other outcomes.
    pub others: i64,
    pub open: i64,
}

impl Store {
    /// What upstream did within these hours for one org within the reach.
    pub async fn hours_of_jobs(
        &self,
        reach: &Reach,
        org: &str,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<HourOfJobs>, StoreError> {
        let mut tx = self.begin_request("hours_of_jobs").await?;
        let rows = sqlx::query!(
            r#"-- hours_of_jobs
            select date_trunc('hour', ended_at, 'UTC') as "hour!: SqlTimestamp",
                   coalesce(sum(size) filter (where result is null or result = 'completed'), 0)::bigint as "completed!",
                   coalesce(sum(size) filter (where result <> 'completed'), 0)::bigint as "others!"
            from jobs
            where org = $1 and ($2::text[] is null or org = any($2))
              and ended_at >= $3 and ended_at < $4 and submitted_at is not null
            group by 1
            order by 1"#,
            org,
            reach.orgs(),
            from.to_sqlx() as _,
            until.to_sqlx() as _
        )
        .all(&mut tx)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| HourOfJobs { hour: row.hour.to_jiff(), completed: row.completed, others: row.others })
            .collect())
    }

    /// What became of the purges with ids from `from` on, of each org and state the newest.
    pub async fn hours_of_purges(&self, reach: &Reach, from: Uuid) -> Result<Vec<HourOfPurges>, StoreError> {
        let mut tx = self.begin_request("hours_of_purges").await?;
        let states: Vec<String> = PurgeState::ALL.iter().map(ToString::to_string).collect();
        let rows = sqlx::query!(
            r#"-- hours_of_purges
            select date_trunc('hour', p.created_at, 'UTC') as "hour!: SqlTimestamp",
                   sum(p.purged)::bigint as "purged!", sum(p.already_purged)::bigint as "already_purged!",
                   sum(p.on_hold + p.retained)::bigint as "protected!", sum(p.failed)::bigint as "failed!",
                   sum(p.not_found + p.active + p.canceled)::bigint as "others!",
                   sum(p.pending + p.eligible + p.submitted)::bigint as "open!"
            from orgs o
            cross join unnest($3::text[]) as s(state)
            cross join lateral (
                -- A range of one state: the planner would take an equation for leave to go by the ids of all states.
                select * from purges
                where org = o.name and state >= s.state::purge_state and state <= s.state::purge_state
                order by state desc, id desc
                limit $4
            ) p
            where ($1::text[] is null or o.name = any($1)) and p.id >= $2 and not p.dry_run
            group by 1
            order by 1"#,
            reach.orgs(),
            from,
            &states,
            NEWEST
        )
        .all(&mut tx)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| HourOfPurges {
                hour: row.hour.to_jiff(),
                purged: row.purged,
                already_purged: row.already_purged,
                protected: row.protected,
                failed: row.failed,
                others: row.others,
                open: row.open,
            })
            .collect())
    }

    /// The purge that was accepted first among those that have not ended.
    pub async fn oldest_open_purge(&self, reach: &Reach) -> Result<Option<Purge>, StoreError> {
        let mut tx = self.begin_request("oldest_open_purge").await?;
        let open = PurgeState::ALL.iter().filter(|state| !state.is_final());
        let states: Vec<String> = open.map(ToString::to_string).collect();
        let found = sqlx::query_scalar!(
            r#"-- oldest_open_purge
            select p.id as "id!"
            from orgs o
            cross join unnest($2::text[]) as s(state)
            cross join lateral (
                select id from purges
                where org = o.name and state >= s.state::purge_state and state <= s.state::purge_state
                order by state, id
                limit 1
            ) p
            where $1::text[] is null or o.name = any($1)
            order by p.id
            limit 1"#,
            reach.orgs(),
            &states
        )
        .maybe(&mut tx)
        .await?;
        match found {
            Some(id) => Ok(load(&mut tx, reach, &[id]).await?.pop()),
            None => Ok(None),
        }
    }
}
