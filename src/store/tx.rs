//! Every transaction has a name, so that logs and errors tell it apart, and every statement a deadline on this side, so
//! that a connection that swallows bytes holds nobody up for long.
//!
//! Statements are run by [`Rows`] and [`Writes`], which give an error the name of its transaction and count it.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::{Map, Query, QueryScalar};
use sqlx::{Executor as _, FromRow, IntoArguments, PgConnection, PgPool, Postgres};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::error::ensure_rows;
use super::session::Pulse;
use super::{ENGINE, REQUESTS, Store, StoreError};
use crate::domain::outcome::Outcome;
use crate::meters::{Meters, Timed};

/// A statement that has no answer by then is given up, and its connection with it. Longer than the server's own limit
/// (`session.rs`), so that a server that is merely slow says so itself.
pub(super) const STATEMENT_DEADLINE: Duration = Duration::from_secs(25);

/// A connection that can't even roll back within this time is dropped.
const ROLLBACK_DEADLINE: Duration = Duration::from_secs(5);

/// A named transaction; dropped without [`Tx::commit`] it is rolled back.
pub(super) struct Tx {
    /// `None` once the transaction has ended or its connection is broken.
    connection: Option<PoolConnection<Postgres>>,
    name: &'static str,
    pub(super) meters: Meters,
    timed: Option<Timed>,
    pulse: Pulse,
    /// What is counted once it is committed.
    decided: Vec<(String, Outcome, u64)>,
}

impl Store {
    /// Begins a transaction of the engine.
    pub(super) async fn begin(&self, name: &'static str) -> Result<Tx, StoreError> {
        Tx::begin(self, &self.engine, ENGINE, name).await
    }

    /// Begins a transaction of a request.
    pub(super) async fn begin_request(&self, name: &'static str) -> Result<Tx, StoreError> {
        Tx::begin(self, &self.api, REQUESTS, name).await
    }
}

impl Tx {
    async fn begin(
        store: &Store,
        pool: &PgPool,
        pool_name: &'static str,
        name: &'static str,
    ) -> Result<Self, StoreError> {
        let meters = store.meters.clone();
        let wait = meters.connection_wait(pool_name);
        let connection = pool.acquire().await.map_err(|source| failure(&meters, name, source))?;
        let timed = Some(meters.transaction(name));
        let pulse = store.pulse.clone();
        let mut tx = Self { connection: Some(connection), name, meters, timed, pulse, decided: Vec::new() };
        // Whatever the database or the role have as their default: the intent's checks must see what was committed
        // before they began, not before the transaction did.
        tx.simple("begin isolation level read committed").await?;
        wait.end("begun");
        Ok(tx)
    }

    /// So many conversations of the org get this final outcome, if this is committed.
    pub(super) fn will_decide(&mut self, org: &str, outcome: Outcome, number: u64) {
        self.decided.push((org.to_owned(), outcome, number));
    }

    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        self.simple("commit").await?;
        self.connection = None;
        if let Some(timed) = self.timed.take() {
            tracing::trace!(transaction = self.name, micros = timed.elapsed().as_micros(), "committed");
            timed.end("committed");
        }
        for (org, outcome, number) in self.decided.drain(..) {
            self.meters.conversations_decided(&org, outcome, number);
        }
        Ok(())
    }

    /// The connection, for what is no single statement; whoever uses it sets a deadline and hands what comes of it to
    /// [`Tx::answered`].
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            None => Err(failure(&self.meters, self.name, sqlx::Error::WorkerCrashed)),
        }
    }

    /// What came of a statement by its deadline.
    pub(super) fn answered<T>(
        &mut self,
        done: Result<Result<T, sqlx::Error>, Elapsed>,
    ) -> Result<T, StoreError> {
        match done {
            Ok(done) => done.map_err(|source| failure(&self.meters, self.name, source)),
            Err(_) => Err(self.give_up()),
        }
    }

    /// The statement had no answer in time: its connection can't be used any more, and what it waits for is not known.
    fn give_up(&mut self) -> StoreError {
        self.pulse.gave_up();
        if let Some(connection) = self.connection.take() {
            // Closed as it is: a farewell would wait for the same silence.
            drop(connection.detach());
        }
        let silence =
            std::io::Error::new(std::io::ErrorKind::TimedOut, "the database did not answer in time");
        failure(&self.meters, self.name, sqlx::Error::Io(silence))
    }

    /// Begin and commit: no parameters, nothing prepared, one round trip.
    async fn simple(&mut self, statement: &'static str) -> Result<(), StoreError> {
        let done = timeout(STATEMENT_DEADLINE, self.connection()?.execute(statement)).await;
        self.answered(done).map(drop)
    }

    /// The database's time now, not that of the transaction's begin.
    pub(super) async fn now(&mut self) -> Result<Timestamp, StoreError> {
        let now = sqlx::query_scalar!(
            r#"-- tx_now
            select clock_timestamp() as "now!: SqlTimestamp""#
        )
        .one(self)
        .await?;
        Ok(now.to_jiff())
    }
}

impl Drop for Tx {
    /// A request may be cancelled in the middle of a statement: no connection goes back to the pool within a transaction.
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            drop(connection.detach());
            return;
        };
        runtime.spawn(async move {
            let rollback = timeout(ROLLBACK_DEADLINE, connection.execute("rollback")).await;
            if !matches!(rollback, Ok(Ok(_))) {
                drop(connection.detach());
            }
        });
    }
}

fn failure(meters: &Meters, transaction: &'static str, source: sqlx::Error) -> StoreError {
    let error = StoreError::Database { transaction, source };
    meters.database_error(error.is_outage());
    error
}

/// A statement that answers rows.
pub(super) trait Rows: Sized {
    type Row;

    fn one(self, tx: &mut Tx) -> impl Future<Output = Result<Self::Row, StoreError>> + Send;

    /// Its only row, if there is one.
    fn maybe(self, tx: &mut Tx) -> impl Future<Output = Result<Option<Self::Row>, StoreError>> + Send;

    fn all(self, tx: &mut Tx) -> impl Future<Output = Result<Vec<Self::Row>, StoreError>> + Send;
}

/// `query!` and `query_as!` make the one type of statement, `query_scalar!` the other; both are run in the same way.
macro_rules! run_rows {
    () => {
        async fn one(self, tx: &mut Tx) -> Result<O, StoreError> {
            let done = timeout(STATEMENT_DEADLINE, self.fetch_one(tx.connection()?)).await;
            tx.answered(done)
        }

        async fn maybe(self, tx: &mut Tx) -> Result<Option<O>, StoreError> {
            let done = timeout(STATEMENT_DEADLINE, self.fetch_optional(tx.connection()?)).await;
            tx.answered(done)
        }

        async fn all(self, tx: &mut Tx) -> Result<Vec<O>, StoreError> {
            let done = timeout(STATEMENT_DEADLINE, self.fetch_all(tx.connection()?)).await;
            tx.answered(done)
        }
    };
}

impl<F, O, A> Rows for Map<'_, Postgres, F, A>
where
    F: FnMut(PgRow) -> Result<O, sqlx::Error> + Send,
    O: Send + Unpin,
    A: Send + IntoArguments<Postgres>,
{
    type Row = O;

    run_rows!();
}

impl<O> Rows for QueryScalar<'_, Postgres, O, PgArguments>
where
    O: Send + Unpin,
    (O,): for<'r> FromRow<'r, PgRow>,
{
    type Row = O;

    run_rows!();
}

/// A statement that answers how many rows it changed.
pub(super) trait Writes: Sized {
    /// How many rows it changed.
    fn run(self, tx: &mut Tx) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// It must change so many.
    fn exactly(self, tx: &mut Tx, rows: usize) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl Writes for Query<'_, Postgres, PgArguments> {
    async fn run(self, tx: &mut Tx) -> Result<u64, StoreError> {
        let done = timeout(STATEMENT_DEADLINE, self.execute(tx.connection()?)).await;
        Ok(tx.answered(done)?.rows_affected())
    }

    async fn exactly(self, tx: &mut Tx, rows: usize) -> Result<(), StoreError> {
        let name = tx.name;
        ensure_rows(name, self.run(tx).await?, rows)
    }
}
