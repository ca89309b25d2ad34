//! The schema: built into the binary, applied by `migrate` and by the first start on an embedded server.

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::tx::Rows as _;
use super::{Place, Store, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The schema's version compared with this binary's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaAge {
    /// It is the one that this binary brings.
    Same,
    /// A newer version has migrated it, and lets this one work on: an upgrade is under way.
    Newer { found: i64, needed: i64 },
}

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    pub applied: usize,
    pub age: SchemaAge,
}

/// The advisory lock for migrations; sqlx has another.
const MIGRATING: i64 = 0x6772_6174_696e_6701;

/// The newest migration that this binary brings.
pub(super) fn needed() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Creates the embedded server's database if it is missing.
pub async fn ensure_database(place: &Place) -> Result<(), StoreError> {
    let Place::Socket { database, .. } = place else { return Ok(()) };
    let failed = |source| StoreError::Database { transaction: "ensure_database", source };
    let mut connection = place.options()?.database("postgres").connect().await.map_err(failed)?;
    let exists = sqlx::query_scalar!(
        r#"-- ensure_database
        select exists (select from pg_database where datname = $1) as "exists!""#,
        database
    )
    .fetch_one(&mut connection)
    .await
    .map_err(failed)?;
    if !exists {
        // A name can't be bound; ours is a constant word, quoted all the same.
        let statement = format!("-- create_database\ncreate database \"{}\"", database.replace('"', "\"\""));
        connection.execute(sqlx::AssertSqlSafe(statement)).await.map_err(failed)?;
    }
    Ok(())
}

/// How many migrations were applied so far.
async fn applied(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let has_schema = sqlx::query_scalar!(
        r#"-- has_migrations
        select to_regclass('_sqlx_migrations') is not null as "has_schema!""#
    )
    .fetch_one(&mut *connection)
    .await?;
    if !has_schema {
        return Ok(0);
    }
    sqlx::query_scalar!(
        r#"-- count_migrations
        select count(*) as "applied!" from _sqlx_migrations where success"#
    )
    .fetch_one(connection)
    .await
}

impl Store {
    /// Brings the schema up to date; several processes may try at once. One that a newer version has migrated is left alone.
    pub async fn migrate(&self) -> Result<Migrated, StoreError> {
        let failed = |source| StoreError::Database { transaction: "migrate", source };
        if self.openings.engine.is_pooled {
            return Err(StoreError::NeedsSession);
        }
        match self.check_condition().await {
            Ok(age @ SchemaAge::Newer { .. }) => return Ok(Migrated { applied: 0, age }),
            Err(outgrown @ StoreError::Outgrown { .. }) => return Err(outgrown),
            // Whatever else is wrong shows below.
            Ok(SchemaAge::Same) | Err(_) => {}
        }
        let mut connection = self.options.connect().await.map_err(failed)?;
        // Held until the connection ends, so that each process reports its own migrations.
        sqlx::query!(
            "-- lock_migrations
            select pg_advisory_lock($1)",
            MIGRATING
        )
        .execute(&mut connection)
        .await
        .map_err(failed)?;
        let before = applied(&mut connection).await.map_err(failed)?;
        MIGRATIONS
            .run(&mut connection)
            .await
            .map_err(|error| failed(sqlx::Error::Migrate(Box::new(error))))?;
        let after = applied(&mut connection).await.map_err(failed)?;
        connection.close().await.map_err(failed)?;
        let applied = usize::try_from(after - before).unwrap_or_default();
        Ok(Migrated { applied, age: SchemaAge::Same })
    }

    /// Whether the database can be reached, takes writes, and has the schema that this binary brings, or a newer one that lets
    /// it work on. Tells soon, whatever becomes of the connections.
    pub async fn check_ready(&self) -> Result<SchemaAge, StoreError> {
        match tokio::time::timeout(self.deadlines.ready, self.check_condition()).await {
            Ok(Ok(age)) => Ok(age),
            Ok(Err(error)) => {
                if matches!(error, StoreError::ReadOnly) {
                    // Existing sessions keep their start settings; new ones may differ.
                    self.pulse.missed();
                }
                Err(error)
            }
            Err(_) => Err(StoreError::Silent),
        }
    }

    async fn check_condition(&self) -> Result<SchemaAge, StoreError> {
        let mut tx = self.begin_protecting("check_ready").await?;
        let server = sqlx::query!(
            r#"-- check_ready
            select current_setting('transaction_read_only') = 'on' as "is_read_only!",
                   to_regclass('_sqlx_migrations') is not null as "has_schema!""#
        )
        .one(&mut tx)
        .await?;
        // The table of migrations is made by the first of them.
        let found = if server.has_schema {
            sqlx::query_scalar!(
                "-- newest_migration
                select max(version) from _sqlx_migrations where success"
            )
            .one(&mut tx)
            .await?
        } else {
            None
        };
        let age = match (found, needed()) {
            (Some(found), needed) if found == needed => SchemaAge::Same,
            (Some(found), needed) if found > needed => {
                let oldest = sqlx::query_scalar!(
                    "-- schema_floor
                    select oldest from schema_floor"
                )
                .one(&mut tx)
                .await?;
                if oldest > needed {
                    return Err(StoreError::Outgrown { found, needed, oldest });
                }
                SchemaAge::Newer { found, needed }
            }
            (found, needed) => return Err(StoreError::Schema { found, needed }),
        };
        if server.is_read_only { Err(StoreError::ReadOnly) } else { Ok(age) }
    }
}
