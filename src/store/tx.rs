//! Every transaction has a name, so that logs and errors tell it apart.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use super::{Store, StoreError};

/// A named transaction; dropped without [`Tx::commit`] it is rolled back.
pub(super) struct Tx {
    inner: Transaction<'static, Postgres>,
    name: &'static str,
    began: Instant,
}

impl Store {
    /// Begins a transaction of the engine.
    pub(super) async fn begin(&self, name: &'static str) -> Result<Tx, StoreError> {
        Tx::begin(&self.engine, name).await
    }

    /// Begins a transaction of a request.
    pub(super) async fn begin_request(&self, name: &'static str) -> Result<Tx, StoreError> {
        Tx::begin(&self.api, name).await
    }
}

impl Tx {
    async fn begin(pool: &PgPool, name: &'static str) -> Result<Self, StoreError> {
        let inner =
            pool.begin().await.map_err(|source| StoreError::Database { transaction: name, source })?;
        Ok(Self { inner, name, began: Instant::now() })
    }

    /// Commits.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        let Self { inner, name, began } = self;
        inner.commit().await.map_err(|source| StoreError::Database { transaction: name, source })?;
        tracing::trace!(transaction = name, micros = began.elapsed().as_micros(), "committed");
        Ok(())
    }

    /// Gives an error of the database the name of this transaction.
    pub(super) fn failed(&self) -> impl FnOnce(sqlx::Error) -> StoreError + use<> {
        let transaction = self.name;
        move |source| StoreError::Database { transaction, source }
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
