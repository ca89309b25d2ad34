//! Every transaction has a name, for logs and errors, and every statement a deadline on this side, so that a dead
//! connection blocks nobody for long.

use std::io::{Error as IoError, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Postgres, SqlSafeStr as _, SqlStr};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::bell::Bell;
use super::connections::{ENGINE, Pulse, REQUESTS};
use super::opening::Opening;
use super::purges::finish::Ended;
use super::rewind::Grounds;
use super::{Store, StoreError};
use crate::crash::{self, Side};
use crate::domain::outcome::Outcome;
use crate::domain::rewind::Ground;
use crate::meters::{Meters, Timed};

pub(super) use super::statement::{Rows, Writes};

/// A named transaction; dropped without [`Tx::commit`] it is rolled back.
pub(super) struct Tx {
    /// `None` once the transaction is over: committed, failed, or its connection given up.
    connection: Option<PoolConnection<Postgres>>,
    /// Among those who may take any connection.
    place: Option<OwnedSemaphorePermit>,
    pub(super) name: &'static str,
    pub(super) meters: Meters,
    timed: Option<Timed>,
    pulse: Pulse,
    bell: Bell,
    stage: Stage,
    opening: Opening,
    /// For statements that cost the server nothing.
    begin: Duration,
    /// For a statement.
    pub(super) deadline: Duration,
    /// Metrics to count after the commit.
    decided: Vec<(String, Outcome, u64)>,
    /// Log lines to write after the commit.
    ended: Vec<Ended>,
    /// Orgs to notify after the commit.
    woken: Vec<String>,
    grounds: Grounds,
    /// The position of the database, read in this transaction.
    ground: Option<Ground>,
}

/// How far a transaction has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is unknown whether it has begun.
    Beginning,
    Open,
    /// Its only statement is still to come, and commits itself.
    Single,
    Over,
}

/// Whether a request waits for a connection among all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    Ordinary,
    /// It protects something, or checks the database: it waits for no other.
    Protecting,
}

/// Whose a transaction is.
#[derive(Debug, Clone, Copy)]
enum Whose {
    Engine,
    Request(Urgency),
}

impl Store {
    /// Begins a transaction of the engine.
    pub(super) async fn begin(&self, name: &'static str) -> Result<Tx, StoreError> {
        self.single(name).await?.begin().await
    }

    /// The same for a single statement, which commits itself: one round trip instead of three.
    pub(super) async fn single(&self, name: &'static str) -> Result<Tx, StoreError> {
        Tx::connect(self, Whose::Engine, name).await?.alone().await
    }

    /// Begins a transaction of a request.
    pub(super) async fn begin_request(&self, name: &'static str) -> Result<Tx, StoreError> {
        self.single_request(name, Urgency::Ordinary).await?.begin().await
    }

    /// Begins a transaction of a request that protects, or that checks the database.
    pub(super) async fn begin_protecting(&self, name: &'static str) -> Result<Tx, StoreError> {
        self.single_request(name, Urgency::Protecting).await?.begin().await
    }

    /// A transaction of a request that is one statement.
    pub(super) async fn single_request(
        &self,
        name: &'static str,
        urgency: Urgency,
    ) -> Result<Tx, StoreError> {
        Tx::connect(self, Whose::Request(urgency), name).await?.alone().await
    }
}

impl Tx {
    async fn connect(store: &Store, whose: Whose, name: &'static str) -> Result<Self, StoreError> {
        let (pool, pool_name, limits, opening) = match whose {
            Whose::Engine => (&store.engine, ENGINE, store.deadlines.engine, &store.openings.engine),
            Whose::Request(_) => (&store.api, REQUESTS, store.deadlines.requests, &store.openings.requests),
        };
        let wait = store.meters.connection_wait(pool_name);
        let mut tx = Self {
            connection: None,
            place: None,
            name,
            meters: store.meters.clone(),
            timed: None,
            pulse: store.pulse.clone(),
            bell: store.bell.clone(),
            stage: Stage::Single,
            opening: opening.clone(),
            begin: store.deadlines.begin,
            deadline: limits.statement,
            decided: Vec::new(),
            ended: Vec::new(),
            woken: Vec::new(),
            grounds: store.grounds.clone(),
            ground: None,
        };
        if let Whose::Request(Urgency::Ordinary) = whose {
            let place = timeout(limits.connection, Arc::clone(&store.ordinary).acquire_owned()).await;
            // The semaphore is never closed.
            let place = place.ok().and_then(Result::ok);
            tx.place = Some(place.ok_or_else(|| tx.failure(sqlx::Error::PoolTimedOut))?);
        }
        tx.connection = Some(pool.acquire().await.map_err(|source| tx.failure(source))?);
        tx.timed = Some(tx.meters.transaction(name));
        wait.end("begun");
        Ok(tx)
    }

    /// Begins, unless it has begun because nothing else would have kept it on one session.
    async fn begin(mut self) -> Result<Self, StoreError> {
        if self.stage == Stage::Open {
            return Ok(self);
        }
        self.stage = Stage::Beginning;
        let begin = AssertSqlSafe(Arc::clone(&self.opening.statement)).into_sql_str();
        self.simple(begin, self.begin).await?;
        self.stage = Stage::Open;
        Ok(self)
    }

    /// For one statement.
    async fn alone(self) -> Result<Self, StoreError> {
        if self.opening.is_pooled { self.begin().await } else { Ok(self) }
    }

    /// Counts conversations of the org with this final outcome, if this is committed.
    pub(super) fn will_decide(&mut self, org: &str, outcome: Outcome, number: u64) {
        self.decided.push((org.to_owned(), outcome, number));
    }

    /// The purge ends, if this is committed.
    pub(super) fn will_tell(&mut self, ended: Ended) {
        self.ended.push(ended);
    }

    /// Notifies the org's dispatchers, if this is committed.
    pub(super) fn will_wake(&mut self, org: &str) {
        self.woken.push(org.to_owned());
    }

    /// Records the position of the database, if this is committed.
    pub(super) const fn will_remember(&mut self, ground: Ground) {
        self.ground = Some(ground);
    }

    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        crash::pass(self.name, Side::Before);
        if self.stage == Stage::Open {
            self.simple("commit".into_sql_str(), self.deadline).await?;
            self.stage = Stage::Over;
        }
        crash::pass(self.name, Side::After);
        self.give_back();
        if let Some(timed) = self.timed.take() {
            tracing::trace!(transaction = self.name, micros = timed.elapsed().as_micros(), "committed");
            timed.end("committed");
        }
        for (org, outcome, number) in self.decided.drain(..) {
            self.meters.conversations_decided(&org, outcome, number);
        }
        self.ended.drain(..).for_each(|ended| ended.log());
        if let Some(ground) = self.ground.take() {
            self.grounds.remember(ground);
        }
        self.bell.ring(std::mem::take(&mut self.woken));
        Ok(())
    }

    /// To begin and to commit: no parameters, nothing prepared, one round trip.
    async fn simple(&mut self, statement: SqlStr, deadline: Duration) -> Result<(), StoreError> {
        let done = timeout(deadline, self.connection()?.execute(statement)).await;
        self.answered(done).map(drop)
    }

    /// The connection, for one statement; the caller sets a deadline and passes the result to [`Tx::answered`].
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        let is_over = self.stage == Stage::Over;
        if self.stage == Stage::Single {
            self.stage = Stage::Over;
        }
        match &mut self.connection {
            Some(connection) if !is_over => Ok(connection),
            _ => Err(StoreError::Database {
                transaction: self.name,
                source: sqlx::Error::Protocol(
                    "the transaction is over, or a statement of it failed".to_owned(),
                ),
            }),
        }
    }

    /// The result of a statement by its deadline. A failure ends the transaction: otherwise its commit would seem to
    /// succeed, but be a rollback.
    pub(super) fn answered<T>(
        &mut self,
        done: Result<Result<T, sqlx::Error>, Elapsed>,
    ) -> Result<T, StoreError> {
        match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(source)) => {
                let error = self.failure(source);
                self.give_back();
                Err(error)
            }
            Err(_) => {
                if let Some(connection) = self.connection.take() {
                    // Closed as it is: a farewell would wait for the same silence.
                    drop(connection.detach());
                }
                let silence = IoError::new(ErrorKind::TimedOut, "the database did not answer in time");
                Err(self.failure(sqlx::Error::Io(silence)))
            }
        }
    }

    /// Gives an error the name of its transaction and counts it.
    fn failure(&self, source: sqlx::Error) -> StoreError {
        let error = StoreError::Database { transaction: self.name, source };
        self.meters.database_error(error.is_outage());
        if error.is_of_connection() {
            self.pulse.missed();
        }
        error
    }

    /// Returns the connection to its pool, which tests it again; an open transaction is rolled back first. A request
    /// may have been dropped in the middle of a statement, so nothing waits here.
    fn give_back(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let runtime = match (Handle::try_current(), self.stage) {
            (Ok(runtime), Stage::Open | Stage::Single | Stage::Over) => runtime,
            (_, Stage::Beginning) | (Err(_), _) => {
                // Not to be used again; the server ends what it has begun.
                drop(connection.detach());
                return;
            }
        };
        let (is_open, place) = (self.stage == Stage::Open, self.place.take());
        let (pulse, deadline) = (self.pulse.clone(), self.begin);
        let giving_back = async move {
            if is_open && connection.execute("rollback").await.is_err() {
                drop(connection.detach());
                return;
            }
            connection.return_to_pool().await;
        };
        runtime.spawn(async move {
            // If it does not answer, it is dropped.
            if timeout(deadline, giving_back).await.is_err() {
                pulse.missed();
            }
            // Only now is its place free.
            drop(place);
        });
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
    fn drop(&mut self) {
        self.give_back();
    }
}
