//! Runs statements: each with a deadline, each error with the name of its transaction.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::{Map, Query, QueryScalar};
use sqlx::{FromRow, IntoArguments, Postgres};
use tokio::time::timeout;

use super::StoreError;
use super::error::ensure_rows;
use super::tx::Tx;

/// A statement that answers rows.
pub(in crate::store) trait Rows: Sized {
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
            let deadline = tx.deadline;
            let done = timeout(deadline, self.fetch_one(tx.connection()?)).await;
            tx.answered(done)
        }

        async fn maybe(self, tx: &mut Tx) -> Result<Option<O>, StoreError> {
            let deadline = tx.deadline;
            let done = timeout(deadline, self.fetch_optional(tx.connection()?)).await;
            tx.answered(done)
        }

        async fn all(self, tx: &mut Tx) -> Result<Vec<O>, StoreError> {
            let deadline = tx.deadline;
            let done = timeout(deadline, self.fetch_all(tx.connection()?)).await;
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
pub(in crate::store) trait Writes: Sized {
    /// How many rows it changed.
    fn run(self, tx: &mut Tx) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// It must change this many rows.
    fn exactly(self, tx: &mut Tx, rows: usize) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl Writes for Query<'_, Postgres, PgArguments> {
    async fn run(self, tx: &mut Tx) -> Result<u64, StoreError> {
        let deadline = tx.deadline;
        let done = timeout(deadline, self.execute(tx.connection()?)).await;
        Ok(tx.answered(done)?.rows_affected())
    }

    async fn exactly(self, tx: &mut Tx, rows: usize) -> Result<(), StoreError> {
        let name = tx.name;
        ensure_rows(name, self.run(tx).await?, rows)
    }
}
