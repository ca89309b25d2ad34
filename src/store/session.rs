//! How a connection to the database is set up: every setting that a rule relies on is set here, whatever the role or the
//! database have as their default.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection};

/// Settings of every session. They come with the start of the connection, so the defaults of role and database never
/// apply, not even to the first statement.
const SETTINGS: &[(&str, &str)] = &[
    // The begin of every transaction says so, too (`tx.rs`).
    ("default_transaction_isolation", "read committed"),
    // Nobody else's tables stand before ours.
    ("search_path", "public,pg_temp"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    // The server gives up before we do (`tx.rs`), so that it says what it waited for.
    ("statement_timeout", "20s"),
    ("lock_timeout", "15s"),
    // A process that freezes within a transaction must not keep an org's lock.
    ("idle_in_transaction_session_timeout", "5s"),
    // A peer that is gone without a word: the server notices, and lets go of what it held.
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "15000"),
    // It helps statements that take seconds; ours take milliseconds.
    ("jit", "off"),
];

/// A commit that was answered must survive a crash of the server: an intent whose call has left, a hold that was answered.
/// What is stricter than `on` stays.
const DURABLE: &str = "-- set_durable
    select set_config('synchronous_commit', 'on', false)
    where current_setting('synchronous_commit') in ('off', 'local')";

/// A connection that nobody used for so long is asked whether it still is one.
const IDLE: Duration = Duration::from_secs(5);

/// It answers within this time, or it is dropped.
const PING_DEADLINE: Duration = Duration::from_secs(2);

/// A connection of ours, by these options.
pub(super) fn options(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("genesys-purge").options(SETTINGS.iter().copied())
}

/// The same without limits of time, for what may take as long as it takes: migrations.
pub(super) fn patient(options: PgConnectOptions) -> PgConnectOptions {
    self::options(options).options([("statement_timeout", "0"), ("lock_timeout", "0")])
}

/// Makes the session's commits durable.
pub(super) async fn make_durable(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection.execute(DURABLE).await.map(drop)
}

/// A pool of such connections, each of which is looked at before it is handed out.
pub(super) fn pool(max_connections: u32, pulse: &Pulse) -> PgPoolOptions {
    let pulse = pulse.clone();
    PgPoolOptions::new()
        .max_connections(max_connections.max(1))
        .acquire_timeout(Duration::from_secs(10))
        .idle_timeout(Duration::from_mins(1))
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(make_durable(connection)))
        .before_acquire(move |connection, meta| {
            let is_suspect = pulse.is_suspect(meta.age);
            Box::pin(async move {
                if is_suspect || meta.idle_for < IDLE {
                    return Ok(!is_suspect);
                }
                Ok(matches!(tokio::time::timeout(PING_DEADLINE, connection.ping()).await, Ok(Ok(()))))
            })
        })
}

/// Remembers when a connection last swallowed a statement: those that are as old are not to be trusted either.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulse {
    /// A statement had no answer in time.
    pub(super) fn gave_up(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_suspect(&self, age: Duration) -> bool {
        let gave_up = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gave_up.is_some_and(|gave_up| gave_up.elapsed() < age)
    }
}
