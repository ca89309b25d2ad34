//! Sets up sessions with the database: every setting that the service relies on is set here, whatever the defaults of
//! the role or the database, and checked before any work.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions as _, Executor as _, Row as _};

use super::deadlines::{Deadlines, Limits};
use super::opening::Opening;
use super::tx::Rows as _;
use super::{Place, Store, StoreError};

/// The application name.
const NAME: &str = "genesys-purge";

/// Settings of every session. They come with the start of the connection, so the defaults of role and database never
/// apply, not even to the first statement. Each value is written as the server shows it.
const SETTINGS: &[(&str, &str)] = &[
    // Every `begin` says so, too (`opening.rs`).
    ("default_transaction_isolation", "read committed"),
    // No other schema's tables hide ours.
    ("search_path", "public, pg_temp"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    // Connections rest in the pool.
    ("idle_session_timeout", "0"),
    // It helps statements that take seconds; ours take milliseconds.
    ("jit", "off"),
];

/// Keepalives: the server notices a vanished peer, and releases its locks. Without effect on a Unix socket.
const KEEPALIVES: &[(&str, &str)] = &[
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "15000"),
];

/// A commit that was answered survives a crash of the server: an intent whose call has left, a hold that was answered.
const DURABLE: &str = "on";

/// Stricter values stay.
const STRICTER: &str = "remote_apply";

/// How long one try to connect takes at most.
const ONCE: Duration = Duration::from_secs(5);

/// The first version that ends transactions by the clock.
const WITH_TRANSACTION_TIMEOUT: u32 = 170_000;

/// The server's version and settings, read before settings that depend on them.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    version: u32,
    durability: String,
}

/// Asks the server once. It is waited for as a pool does: it may be starting.
pub(super) async fn survey(place: &Place, patience: Duration) -> Result<Ground, StoreError> {
    let pool = PgPoolOptions::new().max_connections(2).acquire_timeout(patience);
    let pool = pool.connect_lazy_with(place.options()?);
    let asked = async {
        let mut connection = pool.acquire().await?;
        if matches!(place, Place::Url(_)) {
            // Not prepared: a pooler may have another client's statement of the same name.
            let mut other = pool.acquire().await?;
            let sessions = [session_of(&mut connection).await?, session_of(&mut other).await?];
            other.close().await?;
            if sessions[0] == sessions[1] {
                return Ok(None);
            }
        }
        // Behind a pooler the session may have been another client's.
        connection.execute("begin; deallocate all").await?;
        let durability = sqlx::query_scalar!(
            r#"-- survey_session
            select current_setting('synchronous_commit') as "durability!""#
        )
        .fetch_one(&mut *connection)
        .await?;
        connection.execute("rollback").await?;
        let version = connection.server_version_num().unwrap_or_default();
        connection.close().await?;
        Ok(Some(Ground { version, durability }))
    };
    let asked = tokio::time::timeout(patience, asked).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    let asked = match asked {
        // A pool waits for a server that may be starting, and hides the error: one more attempt shows it.
        Err(sqlx::Error::PoolTimedOut) => {
            let once = tokio::time::timeout(ONCE, place.options()?.connect()).await;
            Err(once.ok().and_then(Result::err).unwrap_or(sqlx::Error::PoolTimedOut))
        }
        asked => asked,
    };
    match asked.map_err(|source| told(place, "connect", source))? {
        Some(ground) => Ok(ground),
        None => Err(StoreError::Pooler { said: "two connections share a session".to_owned() }),
    }
}

/// The server process of a connection: two open connections have two, unless there is a pooler.
async fn session_of(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    connection.fetch_one("-- session_of\nselect pg_backend_pid()").await?.try_get(0)
}

/// The error of opening a connection: a pooler refuses our startup settings.
pub(super) fn told(place: &Place, transaction: &'static str, source: sqlx::Error) -> StoreError {
    match source {
        source @ (sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut) => {
            let at = place.options().map(|options| address(&options)).unwrap_or_default();
            StoreError::Unreachable { at, why: source }
        }
        sqlx::Error::Database(error) if error.message().contains("unsupported startup parameter") => {
            StoreError::Pooler { said: error.message().to_owned() }
        }
        source => StoreError::Database { transaction, source },
    }
}

/// Where a server listens: host and port, or its socket.
fn address(options: &PgConnectOptions) -> String {
    let (host, port) = (options.get_host(), options.get_port());
    options
        .get_socket()
        .map_or_else(|| format!("{host}:{port}"), |folder| format!("{}/.s.PGSQL.{port}", folder.display()))
}

/// A connection to a pooler: session state can't be relied on, so there are no startup settings, and no statement
/// stays prepared.
pub(super) fn bare(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name(NAME).extra_float_digits(None).statement_cache_capacity(0)
}

/// A connection before the server's settings are known. It has no timeouts: those of the role or the database could
/// cut even the first query short.
pub(super) fn plain(options: PgConnectOptions) -> PgConnectOptions {
    let unlimited = LIMITS.map(|name| (name, "0"));
    options.application_name(NAME).options(SETTINGS.iter().chain(KEEPALIVES).copied().chain(unlimited))
}

impl Ground {
    /// Settings that depend on the server.
    fn settings(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        let durability = if self.durability == STRICTER { STRICTER } else { DURABLE };
        // A large purge is accepted in one transaction; other transactions have their own limits.
        let unlimited = (self.version >= WITH_TRANSACTION_TIMEOUT).then_some(("transaction_timeout", "0"));
        std::iter::once(("synchronous_commit", durability)).chain(unlimited)
    }
}

/// The same with settings that depend on the server.
pub(super) fn durable(options: PgConnectOptions, ground: &Ground, is_pooled: bool) -> PgConnectOptions {
    if is_pooled { options } else { options.options(ground.settings()) }
}

/// The same with timeouts: of duplicate settings the last counts.
pub(super) fn limited(
    options: PgConnectOptions,
    limits: Limits,
    deadlines: &Deadlines,
    is_pooled: bool,
) -> PgConnectOptions {
    if is_pooled { options } else { options.options(limits_in_millis(limits, deadlines)) }
}

/// How transactions begin on a session that another client may just have used: each makes its settings, which end with
/// it, and drops prepared statements of others.
pub(super) fn opening_of_pooled(ground: &Ground, limits: Limits, deadlines: &Deadlines) -> Opening {
    let limits = limits_in_millis(limits, deadlines);
    let limits = limits.iter().map(|(name, limit)| (*name, limit.as_str()));
    let lasting: Vec<(&str, &str)> = SETTINGS.iter().copied().chain(ground.settings()).collect();
    let set: Vec<String> = lasting
        .into_iter()
        .chain(limits)
        .map(|(name, value)| format!("pg_catalog.set_config('{name}', '{value}', true)"))
        .collect();
    Opening::pooled(&format!("deallocate all; select {}", set.join(", ")))
}

/// The settings that limit time, in the order of `limits_in_millis`.
const LIMITS: [&str; 3] = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"];

fn limits_in_millis(limits: Limits, deadlines: &Deadlines) -> [(&'static str, String); 3] {
    let [statement, lock, frozen] = LIMITS;
    [(statement, limits.on_server()), (lock, limits.of_lock()), (frozen, deadlines.frozen)]
        .map(|(name, limit)| (name, limit.as_millis().to_string()))
}

/// The actual settings of our session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionCheck {
    /// Reasons why it is unsafe to work, one sentence each.
    pub unsafe_settings: Vec<String>,
    /// Settings that differ, but only cost speed.
    pub odd_settings: Vec<String>,
    /// Settings of the server by which committed work can be lost, or its files be damaged, when the machine crashes.
    pub lossy_settings: Vec<String>,
}

impl SessionCheck {
    /// No work may start on such a database.
    pub fn ensure_safe(&self) -> Result<(), StoreError> {
        if self.unsafe_settings.is_empty() {
            return Ok(());
        }
        Err(StoreError::Settings { found: self.unsafe_settings.join("; ") })
    }
}

impl Store {
    /// Whether sessions have the settings that were asked for. A pooler may leave them out, and then those of role and
    /// database are in force.
    pub async fn check_session(&self) -> Result<SessionCheck, StoreError> {
        let mut tx = self.begin("check_session").await?;
        let rows = sqlx::query!(
            r#"-- check_session
            select name as "name!", setting as "setting!" from pg_settings"#
        )
        .all(&mut tx)
        .await?;
        let found = |name: &str| {
            let row = rows.iter().find(|row| row.name.eq_ignore_ascii_case(name));
            row.map(|row| row.setting.as_str()).unwrap_or_default()
        };
        Ok(judge(found, self.deadlines.engine, &self.deadlines))
    }
}

/// Problems with the actual settings.
fn judge<'a>(found: impl Fn(&str) -> &'a str, limits: Limits, deadlines: &Deadlines) -> SessionCheck {
    let mut check = SessionCheck::default();
    let told = |name: &str, wanted: &str| format!("{name} is {:?} instead of {wanted:?}", found(name));
    if ![DURABLE, STRICTER].contains(&found("synchronous_commit")) {
        check.unsafe_settings.push(told("synchronous_commit", DURABLE));
    }
    for (name, wanted) in [
        ("transaction_isolation", "read committed"),
        ("search_path", "public, pg_temp"),
        // Triggers and foreign keys are silent under any other.
        ("session_replication_role", "origin"),
    ] {
        if found(name) != wanted {
            check.unsafe_settings.push(told(name, wanted));
        }
    }
    let limits = limits_in_millis(limits, deadlines);
    let limits = limits.iter().map(|(name, limit)| (*name, limit.as_str()));
    let odd = SETTINGS.iter().copied().chain(limits).filter(|(name, wanted)| found(name) != *wanted);
    check
        .odd_settings
        .extend(odd.filter(|(name, _)| *name != "search_path").map(|(name, wanted)| told(name, wanted)));
    let lossy = ["fsync", "full_page_writes"].into_iter().filter(|name| found(name) == "off");
    check.lossy_settings.extend(lossy.map(str::to_owned));
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(changes: &[(&str, &'static str)]) -> SessionCheck {
        let deadlines = Deadlines::default();
        let limits = limits_in_millis(deadlines.engine, &deadlines);
        let found = |name: &str| {
            let ours = [("synchronous_commit", "on"), ("transaction_isolation", "read committed")];
            let servers =
                [("session_replication_role", "origin"), ("fsync", "on"), ("full_page_writes", "on")];
            let all = changes.iter().chain(SETTINGS).chain(&ours).chain(&servers);
            let set = all.copied().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned());
            let limit = limits.iter().find(|(known, _)| *known == name).map(|(_, limit)| limit.clone());
            &*set.or(limit).unwrap_or_default().leak()
        };
        judge(found, deadlines.engine, &deadlines)
    }

    /// Found where role and database allow a statement one millisecond, and the machine was slow.
    #[test]
    fn no_limit_of_role_and_database_holds_before_ours_are_set() {
        let options = plain(PgConnectOptions::new_without_pgpass());
        let said = options.get_options().unwrap();
        for limit in LIMITS {
            assert!(said.contains(&format!("-c {limit}=0")), "{limit}: {said}");
        }
    }

    #[test]
    fn settings_that_lose_work_or_read_strange_tables_stop_a_start_and_slow_ones_do_not() {
        assert_eq!(checked(&[]), SessionCheck::default());
        assert_eq!(checked(&[("synchronous_commit", "remote_apply")]), SessionCheck::default());
        for (name, value) in [
            ("synchronous_commit", "off"),
            ("synchronous_commit", "local"),
            ("synchronous_commit", "remote_write"),
            ("transaction_isolation", "repeatable read"),
            ("search_path", "evil"),
            ("session_replication_role", "replica"),
        ] {
            let check = checked(&[(name, value)]);
            assert_eq!(check.unsafe_settings.len(), 1, "{name}: {check:?}");
            let error = check.ensure_safe().unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
        for (name, value) in [
            ("statement_timeout", "1"),
            ("TimeZone", "Asia/Tokyo"),
            ("idle_in_transaction_session_timeout", "0"),
            ("jit", "on"),
        ] {
            let check = checked(&[(name, value)]);
            assert_eq!(check.odd_settings.len(), 1, "{name}: {check:?}");
            check.ensure_safe().unwrap();
        }
        assert_eq!(checked(&[("fsync", "off")]).lossy_settings, ["fsync"]);
    }
}
