//! Refusing: the answer names every error of a request, and the request leaves nothing: no row, no spool file.

mod broken;
mod files;
mod full;
mod hostile;
mod json;
mod limits;
mod paths;

use std::collections::BTreeMap;

use genesys_purge::app::Role;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use crate::support::spool::SpoolDir;
use crate::support::{Setup, TestService};

/// A service that only takes requests, with a spool folder of its own.
struct Desk {
    test: TestService,
    spool: SpoolDir,
    before: BTreeMap<&'static str, i64>,
}

impl Desk {
    async fn open() -> Self {
        Self::with(Setup::new()).await
    }

    async fn with(setup: Setup) -> Self {
        let spool = SpoolDir::new();
        let setup = setup.role(Role::Api).env("PURGE__INTAKE__SPOOL_DIR", spool.path());
        let test = setup.start().await;
        let before = rows(&test).await;
        Self { test, spool, before }
    }

    /// Everything that was sent since the start has left nothing.
    async fn assert_left_nothing(&self) {
        assert_eq!(rows(&self.test).await, self.before);
        self.spool.until(false).await;
    }
}

/// How many rows stand in each table that a request could write to.
async fn rows(test: &TestService) -> BTreeMap<&'static str, i64> {
    let tables = [
        "purges",
        "slices",
        "conversations",
        "decisions",
        "jobs",
        "reservations",
        "waiters",
        "released",
        "holds",
        "hold_conversations",
        "events",
        "deliveries",
    ];
    let mut connection = test.database.connect().await;
    let mut rows = BTreeMap::new();
    for table in tables {
        let counted = connection.fetch_one(AssertSqlSafe(format!("select count(*) from {table}"))).await;
        rows.insert(table, counted.unwrap().get(0));
    }
    rows
}
