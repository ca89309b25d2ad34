//! The schema: built into the binary, applied by `migrate` and by the first start on an embedded server.

use sqlx::ConnectOptions as _;
use sqlx::Executor as _;
use sqlx::migrate::Migrator;

use super::{Place, Store, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Creates the embedded server's database where it is missing.
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

impl Store {
    /// Brings the schema up to date; several processes may try at once.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        MIGRATIONS.run(&self.engine).await.map_err(|error| StoreError::Database {
            transaction: "migrate",
            source: sqlx::Error::Migrate(Box::new(error)),
        })
    }

    /// Whether the database can be reached and has the schema that this binary brings.
    pub async fn check_ready(&self) -> Result<(), StoreError> {
        let mut tx = self.begin_request("check_ready").await?;
        let failed = tx.failed();
        let found = sqlx::query_scalar!(
            "-- check_ready
            select max(version) from _sqlx_migrations where success"
        )
        .fetch_one(&mut *tx)
        .await;
        let found = match found {
            Ok(found) => found,
            // The table of migrations is made by the first of them.
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => None,
            Err(error) => return Err(failed(error)),
        };
        let needed = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
        if found == Some(needed) { Ok(()) } else { Err(StoreError::Schema { found, needed }) }
    }
}
