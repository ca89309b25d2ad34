//! How long this service waits for its database, and the database for it.

use std::time::Duration;

/// The waits of one process. Not settings: changing one would require knowing all rules that depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// A caller waits for requests.
    pub requests: Limits,
    pub engine: Limits,
    /// For statements that cost the server nothing, such as begin and rollback: a server that does not answer by then
    /// is gone.
    pub begin: Duration,
    /// For the test of an idle connection; if it fails, another is opened at once.
    pub ping: Duration,
    /// For the readiness check.
    pub ready: Duration,
    /// The server ends a session that is idle within a transaction for this long: a process that froze there must not
    /// keep an org's lock.
    pub frozen: Duration,
    /// So often the connection that hears of work is asked whether it still is one.
    pub heartbeat: Duration,
    /// Connections that are not closed by then are left as they are.
    pub close: Duration,
}

/// Timeout of one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until there is a connection for it.
    pub connection: Duration,
    /// Until its answer. One that has none by then is given up, and its connection with it.
    pub statement: Duration,
}

impl Limits {
    /// The server gives up before we do, so that the error says what it waited for, and the connection stays usable.
    pub(super) fn on_server(self) -> Duration {
        self.statement * 4 / 5
    }

    /// The lock timeout is a little shorter still: then the message says whose lock it is.
    pub(super) fn of_lock(self) -> Duration {
        self.statement * 3 / 5
    }
}

impl Default for Deadlines {
    /// The values in production.
    fn default() -> Self {
        Self {
            requests: Limits { connection: Duration::from_secs(5), statement: Duration::from_secs(10) },
            engine: Limits { connection: Duration::from_secs(10), statement: Duration::from_secs(25) },
            begin: Duration::from_secs(3),
            ping: Duration::from_secs(1),
            ready: Duration::from_secs(2),
            frozen: Duration::from_secs(5),
            heartbeat: Duration::from_secs(10),
            close: Duration::from_secs(5),
        }
    }
}
