//! The settings that the server runs with, each with its reason.
//!
//! They are given on the command line at every start instead of in `postgresql.conf`, so that data made by an
//! older version of this service get today's settings too.

use std::ffi::OsString;
use std::path::Path;

/// The port names the socket's file; nothing listens on TCP. The socket's folder is one server's own, so the
/// number never clashes.
pub(super) const PORT: u16 = 5432;

/// How much a server's data are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// What was committed survives a crash of the machine: what `serve` and `demo` use.
    Full,
    /// Nothing is forced to disk: throw-away servers of tests.
    None,
}

const ALWAYS: &[&str] = &[
    // No TCP: who may connect is decided by the permissions of the socket's folder and of the socket.
    "listen_addresses=",
    "unix_socket_permissions=0700",
    // Enough for many tests that share one server; the service itself is content with a twentieth.
    "max_connections=200",
    // Postgres' own default, stated because `initdb` silently chooses less where it finds little memory.
    "shared_buffers=128MB",
    // Nobody replicates from this server, and then a COPY into a table made in the same transaction need not
    // be logged; `minimal` is refused unless there are no senders.
    "wal_level=minimal",
    "max_wal_senders=0",
    // The statements are many and short: compiling them costs more than it saves.
    "jit=off",
    // Times in the log and in answers don't depend on where the machine stands.
    "timezone=UTC",
    "log_timezone=UTC",
];

const FULL: &[&str] = &[
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    // Loading ten million ids writes about 2 GB of log: a smaller limit forces checkpoints in the middle of it.
    "max_wal_size=2GB",
];

const NONE: &[&str] = &["fsync=off", "full_page_writes=off", "synchronous_commit=off"];

/// The arguments of `postgres` beyond its data directory.
pub(super) fn server_arguments(durability: Durability, socket_directory: &Path) -> Vec<OsString> {
    let by_durability = match durability {
        Durability::Full => FULL,
        Durability::None => NONE,
    };
    let mut arguments: Vec<OsString> =
        vec!["-k".into(), socket_directory.into(), "-p".into(), PORT.to_string().into()];
    for setting in ALWAYS.iter().chain(by_durability) {
        arguments.extend(["-c".into(), OsString::from(setting)]);
    }
    arguments
}
