//! What can go wrong between this service and its database.

use uuid::Uuid;

use crate::domain::outcome::Outcome;
use crate::meters::Collision;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused a statement.
    #[error("database, in {transaction}: {source}")]
    Database {
        /// The name of the transaction.
        transaction: &'static str,
        /// The error of the database or the connection.
        source: sqlx::Error,
    },
    /// No connection could be opened.
    #[error("can't reach Postgres at {at}: {}", why_unreached(why))]
    Unreachable {
        /// Host and port, or the socket.
        at: String,
        /// The error of the connection.
        why: sqlx::Error,
    },
    /// `DATABASE_URL` can't be read. The URL may hold a password, so it is not repeated.
    #[error(
        "database.url is not a PostgreSQL URL; it should look like postgres://user:password@host:5432/name"
    )]
    BadUrl,
    /// Another worker holds the lease by now: nothing was written.
    #[error("the lease of {what} {id} was lost; nothing was written")]
    LeaseLost { what: &'static str, id: Uuid },
    /// A decision started from an outcome that does not hold.
    #[error(
        "conversation {position} of slice {slice_no} of purge {purge} is {found}, not {expected}; it can't become {to}"
    )]
    Transition {
        purge: Uuid,
        slice_no: i32,
        /// The position in the slice.
        position: usize,
        found: Outcome,
        /// The outcome that the decision expected.
        expected: Outcome,
        /// The new outcome.
        to: Outcome,
    },
    /// A guarded write changed another number of rows than it must.
    #[error("a statement of {transaction} changed {changed} rows instead of {expected}")]
    RowCount {
        /// The name of its transaction.
        transaction: &'static str,
        changed: u64,
        /// Rows that must change.
        expected: u64,
    },
    /// A row contains a value that this version can't read.
    #[error("{what} can't be read: {detail}")]
    Unreadable { what: &'static str, detail: String },
    /// A standby, or a database that an operator has set to read-only.
    #[error("the database is read-only")]
    ReadOnly,
    /// A step panicked, and its transaction was rolled back.
    #[error("this service failed on it in {step}; see its log")]
    Panicked { step: &'static str },
    /// It did not say in time whether it is ready.
    #[error("the database did not answer in time")]
    Silent,
    /// Sessions have settings under which nothing is safe.
    #[error(
        "the database's sessions do not have the settings that they need: {found}; does a pooler drop them? \
         docs/operations.md, \"The database\""
    )]
    Settings { found: String },
    /// The caller's key was revoked since it was checked.
    #[error("the API key was revoked; nothing was done")]
    Revoked,
    /// The database is behind a pooler, and the settings do not say so.
    #[error(
        "the database is behind a pooler in transaction mode ({said}): set database.pooler to \"transaction\"; docs/operations.md, \"Behind a pooler\""
    )]
    Pooler { said: String },
    /// It needs a session, not only transactions.
    #[error(
        "migrations can't run through a pooler: give `migrate` the address of the server itself, without database.pooler"
    )]
    NeedsSession,
    /// Others are being accepted for too long.
    #[error("timed out waiting for other purges to be accepted")]
    NoTurn,
    /// The ids of an upload could not be read back from their spool.
    #[error(transparent)]
    Spool(#[from] crate::intake::IntakeError),
    /// The database's schema is not the one that this binary brings.
    #[error("the database's schema is at {}, this binary needs {needed}; run `genesys-purge migrate`", found.unwrap_or(0))]
    Schema {
        /// The newest migration that was applied.
        found: Option<i64>,
        /// The newest that this binary brings.
        needed: i64,
    },
    /// A newer version has migrated the database, and this one would not do right on it.
    #[error(
        "the database's schema is at {found}, on which binaries that bring {oldest} or newer may work; this one brings {needed}: run the newer version"
    )]
    Outgrown { found: i64, needed: i64, oldest: i64 },
}

impl StoreError {
    /// The database can't be reached or has no room, rather than an error of ours.
    pub fn is_outage(&self) -> bool {
        // Connection lost, no resources, shutting down or starting, rolled back because of others, read-only for now,
        // timed out while idle or at work, accepts no connections, does not exist, lock held for too long.
        const PASSING: &[&str] =
            &["08", "53", "57P", "57014", "40", "25006", "25P03", "55000", "3D000", "55P03"];
        self.is_of_connection()
            || self.has_code_of(PASSING)
            || matches!(
                self,
                Self::ReadOnly
                    | Self::Silent
                    | Self::Unreachable { .. }
                    | Self::Database {
                        source: sqlx::Error::PoolTimedOut
                            | sqlx::Error::PoolClosed
                            | sqlx::Error::BeginFailed
                            | sqlx::Error::WorkerCrashed,
                        ..
                    }
            )
    }

    /// The server gave it up in time, or for others' sake: nothing of it was done.
    pub(super) fn is_rolled_back(&self) -> bool {
        self.has_code_of(&["57014", "55P03", "40"])
    }

    /// The server rolled it back for another's sake: nothing of it was done, and the next try may succeed.
    pub(super) fn collision(&self) -> Option<Collision> {
        let causes = [("40001", Collision::Serialization), ("40P01", Collision::Deadlock)];
        causes.into_iter().find(|(code, _)| self.has_code_of(&[code])).map(|(_, cause)| cause)
    }

    /// The connection broke, or leads to a server that takes no writes: others that are as old may be no better.
    pub(super) fn is_of_connection(&self) -> bool {
        self.has_code_of(&["08", "57P", "25006"])
            || matches!(self, Self::Unreachable { .. })
            || matches!(self, Self::Database { source: sqlx::Error::Io(_) | sqlx::Error::Tls(_), .. })
    }

    fn has_code_of(&self, prefixes: &[&str]) -> bool {
        let Self::Database { source: sqlx::Error::Database(error), .. } = self else { return false };
        error.code().is_some_and(|code| prefixes.iter().any(|prefix| code.starts_with(prefix)))
    }

    /// Another row has the same key.
    pub(super) fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Database { source: sqlx::Error::Database(error), .. } if error.is_unique_violation())
    }
}

/// The error of a failed connection, without the words that it failed.
fn why_unreached(source: &sqlx::Error) -> String {
    match source {
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) => error.to_string(),
        sqlx::Error::PoolTimedOut => "no answer in time".to_owned(),
        other => other.to_string(),
    }
}

/// Checks how many rows a guarded write changed.
pub(super) fn ensure_rows(
    transaction: &'static str,
    changed: u64,
    expected: usize,
) -> Result<(), StoreError> {
    let expected = expected as u64;
    if changed == expected { Ok(()) } else { Err(StoreError::RowCount { transaction, changed, expected }) }
}

/// Parses an enum that SQL returned as text.
pub(super) fn word<T: std::str::FromStr<Err: std::fmt::Display>>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    text.parse().map_err(|error: T::Err| StoreError::Unreadable { what, detail: error.to_string() })
}
