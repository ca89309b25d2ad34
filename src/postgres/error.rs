//! What can go wrong with the embedded server, in terms that an operator can act on.

use std::io;
use std::path::{Path, PathBuf};

use super::archive::ArchiveError;

/// Why the embedded server did not start, was not found or did not stop well.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No server programs were found on this machine.
    #[error("no PostgreSQL server was found on this machine (`postgres` with `initdb` beside it). {advice}")]
    NotInstalled {
        /// The one command that installs them here, or what is wanted where that is not known.
        advice: String,
    },
    /// There were none on this machine, and none could be fetched either.
    #[error(
        "no PostgreSQL server was found on this machine (`postgres` with `initdb` beside it), and none could be fetched: \
         {why}. {advice}"
    )]
    NotFetched {
        /// What went wrong with the archive.
        why: ArchiveError,
        /// The one command that installs them here, or what is wanted where that is not known.
        advice: String,
    },
    /// The data were made by another major version than any that is installed.
    #[error(
        "the database in {} was made by PostgreSQL {made_by}, and only PostgreSQL {found} is installed: \
         install version {made_by}, or move the data over with pg_upgrade", data_dir.display()
    )]
    WrongVersion {
        /// The data directory of the service.
        data_dir: PathBuf,
        /// The major version that made the data.
        made_by: String,
        /// The major versions that were found.
        found: String,
    },
    /// Programs were found, but none that the account of the server may run.
    #[error(
        "the PostgreSQL programs in {} can't be run by user {account}, who may not pass {}: \
         install PostgreSQL from the system's packages", programs.display(), barrier.display()
    )]
    ProgramsUnreachable {
        /// Where the programs are.
        programs: PathBuf,
        /// The account that the server would run as.
        account: String,
        /// The first folder (or file) on the way that stops it.
        barrier: PathBuf,
    },
    /// This process is root, which Postgres refuses to run as, and there is nobody else to run it.
    #[error(
        "PostgreSQL can't run as root, and there is neither a user `postgres` nor a user `nobody`: add one"
    )]
    NoAccount,
    /// `initdb` looks its own user up and fails where there is none.
    #[error(
        "user id {uid} has no entry in the user database, which PostgreSQL needs: run as a user that has one"
    )]
    NoPasswdEntry {
        /// The user id that this process runs as.
        uid: u32,
    },
    /// The account of the server can't get to the data directory.
    #[error(
        "the data directory {} can't be reached by user {account}, who runs the database when the service is root: \
         {} is closed to it. Choose a folder such as {}", data_dir.display(), barrier.display(), better.display()
    )]
    DataUnreachable {
        /// The data directory of the service.
        data_dir: PathBuf,
        /// The account that the server would run as.
        account: String,
        /// The first folder on the way that stops it.
        barrier: PathBuf,
        /// A folder that works.
        better: PathBuf,
    },
    /// What should be a folder of the server is a link or a file.
    #[error(
        "{} is a link or a file, and must be a folder: the database is kept there and nowhere else. Remove it",
        path.display()
    )]
    NotAFolder { path: PathBuf },
    /// Somebody else could change what root relies on.
    #[error(
        "root can't keep a database in {}: {who} can change {}, and with it what is there. Choose a folder that only \
         root can change, such as {}", data_dir.display(), step.display(), better.display()
    )]
    Exposed {
        /// The data directory of the service.
        data_dir: PathBuf,
        /// A folder or link on the way, or the data directory itself.
        step: PathBuf,
        /// Who can change it.
        who: String,
        /// A folder that works.
        better: PathBuf,
    },
    /// The data belong to somebody else.
    #[error("the database in {} belongs to user id {owner}: run as that user or as root", data_dir.display())]
    WrongOwner {
        /// The data directory of the service.
        data_dir: PathBuf,
        /// The user id that owns the data.
        owner: u32,
    },
    /// The folder is itself the data directory of a server that is not ours.
    #[error(
        "{} is the data directory of another PostgreSQL server: give the service a folder of its own",
        data_dir.display()
    )]
    ForeignCluster {
        /// The folder that was given as the data directory of the service.
        data_dir: PathBuf,
    },
    /// Another live process runs the server on that data directory.
    #[error("the data directory {} is in use by {}", data_dir.display(), holder_in_words(*holder))]
    Held {
        /// The data directory of the service.
        data_dir: PathBuf,
        /// The process that holds it; `None` in the instant before it has written its id down.
        holder: Option<i32>,
    },
    /// An earlier server on that data directory is gone, but some of its processes are not.
    #[error("processes of an earlier database server still use {}; end them first", data_dir.display())]
    StillEnding {
        /// The data directory of the service.
        data_dir: PathBuf,
    },
    /// The server, or the making of its data, ended before it was ready.
    #[error("the database server ended before it was ready; the last lines of its log:\n{log}")]
    Died {
        /// The last lines that it wrote during this start.
        log: String,
    },
    /// The server lives but was not ready in time.
    #[error("the database server was not ready after {seconds} s; the last lines of its log:\n{log}")]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// The last lines that it wrote during this start.
        log: String,
    },
    /// The server is gone, but did not shut down cleanly; it will recover from its write-ahead log.
    #[error("the database server did not shut down cleanly; the last lines of its log:\n{log}")]
    UncleanStop {
        /// The last lines that it wrote since it was started.
        log: String,
    },
    /// The server can't be brought to end.
    #[error("the database server (process {pid}) can't be stopped")]
    Unstoppable { pid: i32 },
    /// The operating system refused something.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, to be read after "could not".
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl PostgresError {
    /// For `map_err`: what was tried, and with which file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PostgresError {
        move |source| PostgresError::Io { doing, path: path.to_owned(), source }
    }
}

fn holder_in_words(holder: Option<i32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
