//! How long this service waits for its database, and the database for it.

use std::time::Duration;

/// The waits of one process. No setting: whoever changes one would have to know all rules that lean on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Somebody waits for what a request asks.
    pub requests: Limits,
    pub engine: Limits,
    /// For what costs a server nothing, to begin or to roll back: one that does not do it by then is gone.
    pub begin: Duration,
    /// For a connection that rested to show that it still is one; where it does not, another is made at once.
    pub ping: Duration,
    /// Whether the database is ready has to be told by then.
    pub ready: Duration,
    /// The server ends a session that does nothing within a transaction for so long: a process that froze there must
    /// not keep an org's lock.
    pub frozen: Duration,
    /// So often the connection that hears of work is asked whether it still is one.
    pub heartbeat: Duration,
    /// Connections that are not closed by then are left as they are.
    pub close: Duration,
}

/// What one statement may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until there is a connection for it.
    pub connection: Duration,
    /// Until its answer. One that has none by then is given up, and its connection with it.
    pub statement: Duration,
}

impl Limits {
    /// The server gives up before we do, so that it says what it waited for, and the connection can be used on.
    pub(super) fn on_server(self) -> Duration {
        self.statement * 4 / 5
    }

    /// A lock is waited for a little shorter still: whose it is stands in the message then.
    pub(super) fn of_lock(self) -> Duration {
        self.statement * 3 / 5
    }
}

impl Default for Deadlines {
    /// What holds in production.
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
