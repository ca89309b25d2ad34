//! The state of the database and its contents, for `doctor`. No query here may be slow on a large database, or block
//! others.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{ConnectOptions as _, Connection as _};
use uuid::Uuid;

use crate::store::tx::{Rows as _, Tx};
use crate::store::{Place, Store, StoreError, session};

/// The server of the database.
#[derive(Debug, Clone)]
pub struct ServerCondition {
    /// As it reports it: `15.18 (Debian ...)`.
    pub version: String,
    /// 15 of 15.18.
    pub major: i32,
    /// Connections that it allows to everybody together, superusers aside.
    pub allowed: i64,
    /// Connections that there are now, this one included.
    pub taken: i64,
    pub now: Timestamp,
}

/// The blocks of an org.
#[derive(Debug, Clone)]
pub struct OrgCondition {
    pub name: String,
    /// Upstream refuses it: a stable code, what is missing, and since when.
    pub blocked: Option<(String, String, Timestamp)>,
    /// An operator stopped it: since when, who, and why.
    pub stopped: Option<(Timestamp, String, Option<String>)>,
    /// Since when every process that works for it is paused.
    pub paused_since: Option<Timestamp>,
    /// Jobs whose submit got no answer.
    pub in_doubt: i64,
    /// Slices that can't be read, and the first purge among those that they belong to.
    pub parked: i64,
    pub parked_of: Option<Uuid>,
}

/// Connects once and disconnects: if that fails, the error says why, which a pool's would not.
pub async fn reach(place: &Place) -> Result<(), StoreError> {
    let failed = |source| session::told(place, "reach", source);
    let connection = place.options()?.connect().await.map_err(failed)?;
    connection.close().await.map_err(failed)
}

impl Store {
    async fn begin_look(&self, name: &'static str) -> Result<Tx, StoreError> {
        let mut tx = self.begin_request(name).await?;
        sqlx::query!(
            r#"-- limit_look
            select set_config('statement_timeout', '8s', true) as "limit!""#
        )
        .one(&mut tx)
        .await?;
        Ok(tx)
    }

    /// The server, whatever schema is in it.
    pub async fn server_condition(&self) -> Result<ServerCondition, StoreError> {
        let mut tx = self.begin_look("server_condition").await?;
        let row = sqlx::query!(
            r#"-- server_condition
            select current_setting('server_version') as "version!",
                   current_setting('server_version_num')::int / 10000 as "major!",
                   current_setting('max_connections')::bigint
                       - current_setting('superuser_reserved_connections')::bigint as "allowed!",
                   (select sum(numbackends)::bigint from pg_stat_database) as "taken!",
                   clock_timestamp() as "now!: SqlTimestamp""#
        )
        .one(&mut tx)
        .await?;
        Ok(ServerCondition {
            version: row.version,
            major: row.major,
            allowed: row.allowed,
            taken: row.taken,
            now: row.now.to_jiff(),
        })
    }

    /// Every org that a service was started with, by name.
    pub async fn org_conditions(&self) -> Result<Vec<OrgCondition>, StoreError> {
        let mut tx = self.begin_look("org_conditions").await?;
        let rows = sqlx::query!(
            r#"-- org_conditions
            select name, blocked_code, blocked_detail, blocked_at, stopped_at, stopped_by, stopped_reason,
                   (select since from paused_orgs where org = name) as "paused_since: SqlTimestamp",
                   (select count(*) from jobs where org = name and state = 'in_doubt') as "in_doubt!",
                   parked.slices as "parked!", parked.purge as "parked_of: Uuid"
            from orgs
            cross join lateral (
                select count(*) as slices, min(purge_id::text)::uuid as purge
                from slices
                where org = name and parked_at is not null
            ) parked
            order by name"#
        )
        .all(&mut tx)
        .await?;
        let conditions = rows.into_iter().map(|row| {
            let blocked_at = row.blocked_at.map(SqlTimestamp::to_jiff);
            let stopped_at = row.stopped_at.map(SqlTimestamp::to_jiff);
            OrgCondition {
                name: row.name,
                blocked: row
                    .blocked_code
                    .zip(row.blocked_detail)
                    .zip(blocked_at)
                    .map(|((code, detail), at)| (code, detail, at)),
                stopped: stopped_at.zip(row.stopped_by).map(|(at, by)| (at, by, row.stopped_reason)),
                paused_since: row.paused_since.map(SqlTimestamp::to_jiff),
                in_doubt: row.in_doubt,
                parked: row.parked,
                parked_of: row.parked_of,
            }
        });
        Ok(conditions.collect())
    }

    /// Deliveries that were given up, counted up to a maximum.
    pub async fn dead_deliveries(&self, at_most: i64) -> Result<i64, StoreError> {
        let mut tx = self.begin_look("dead_deliveries").await?;
        sqlx::query_scalar!(
            r#"-- dead_deliveries
            select count(*) as "dead!" from (select from deliveries where state = 'dead' limit $1) dead"#,
            at_most
        )
        .one(&mut tx)
        .await
    }

    /// Whether a value that is made once has been made.
    pub async fn has_secret(&self, name: &str) -> Result<bool, StoreError> {
        let mut tx = self.begin_look("has_secret").await?;
        sqlx::query_scalar!(
            r#"-- has_secret
            select exists (select from service_secrets where name = $1) as "exists!""#,
            name
        )
        .one(&mut tx)
        .await
    }
}
