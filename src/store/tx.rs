//! Every transaction has a name, so that logs and errors tell it apart.

use std::ops::{Deref, DerefMut};

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use super::{ENGINE, REQUESTS, Store, StoreError};
use crate::domain::outcome::Outcome;
use crate::meters::{Meters, Timed};

/// A named transaction; dropped without [`Tx::commit`] it is rolled back.
pub(super) struct Tx {
    inner: Transaction<'static, Postgres>,
    name: &'static str,
    pub(super) meters: Meters,
    timed: Timed,
    /// What is counted once it is committed.
    decided: Vec<(String, Outcome, u64)>,
}

impl Store {
    /// Begins a transaction of the engine.
    pub(super) async fn begin(&self, name: &'static str) -> Result<Tx, StoreError> {
        Tx::begin(&self.engine, ENGINE, name, &self.meters).await
    }

    /// Begins a transaction of a request.
    pub(super) async fn begin_request(&self, name: &'static str) -> Result<Tx, StoreError> {
        Tx::begin(&self.api, REQUESTS, name, &self.meters).await
    }
}

impl Tx {
    async fn begin(
        pool: &PgPool,
        pool_name: &'static str,
        name: &'static str,
        meters: &Meters,
    ) -> Result<Self, StoreError> {
        let wait = meters.connection_wait(pool_name);
        let inner = pool.begin().await.map_err(failure(meters, name))?;
        wait.end("begun");
        let (meters, timed) = (meters.clone(), meters.transaction(name));
        Ok(Self { inner, name, meters, timed, decided: Vec::new() })
    }

    /// So many conversations of the org get this final outcome, if this is committed.
    pub(super) fn will_decide(&mut self, org: &str, outcome: Outcome, number: u64) {
        self.decided.push((org.to_owned(), outcome, number));
    }

    /// Commits.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        let Self { inner, name, meters, timed, decided } = self;
        inner.commit().await.map_err(failure(&meters, name))?;
        tracing::trace!(transaction = name, micros = timed.elapsed().as_micros(), "committed");
        timed.end("committed");
        for (org, outcome, number) in decided {
            meters.conversations_decided(&org, outcome, number);
        }
        Ok(())
    }

    /// Gives an error of the database the name of this transaction.
    pub(super) fn failed(&self) -> impl FnOnce(sqlx::Error) -> StoreError + use<> {
        failure(&self.meters, self.name)
    }

    /// The database's time now, not that of the transaction's begin.
    pub(super) async fn now(&mut self) -> Result<Timestamp, StoreError> {
        let failed = self.failed();
        let now = sqlx::query_scalar!(
            r#"-- tx_now
            select clock_timestamp() as "now!: SqlTimestamp""#
        )
        .fetch_one(&mut **self)
        .await
        .map_err(failed)?;
        Ok(now.to_jiff())
    }
}

/// Counts an error of the database, and gives it the name of its transaction.
fn failure(meters: &Meters, transaction: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError + use<> {
    let meters = meters.clone();
    move |source| {
        let error = StoreError::Database { transaction, source };
        meters.database_error(error.is_outage());
        error
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}
