//! The files of one server, and their owners:
//!
//! ```text
//! <data directory>/            the operator's folder; as root it stays root's, others may only pass
//!   postgres.lock              who runs the server
//!   postgres.log               what the server says; beyond 10 MiB it becomes postgres.log.old
//!   postgres/                  the server account's own, mode 0700; never a link
//!     data/                    the data: complete, for it gets this name last
//!     data.partial/            the data while they are being made
//! /tmp/genesys-purge-XXXXXX/   the run directory of one start: the socket, mode 0700
//! ```
//!
//! A temporary server has all of it in its run directory. The socket is never below the data directory: its path
//! may have 107 bytes at most, and a data directory may be anywhere.
//!
//! Invariant: nothing is deleted but run directories, and nothing is changed that was there before.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::unistd::geteuid;
use tempfile::TempDir;

use super::account::{self, Account};
use super::binaries::Binaries;
use super::error::PostgresError;
use super::lock::DirectoryLock;
use super::log::ServerLog;
use super::postmaster;
use super::supervisor::{POLL, Patience};

const RUN_ROOT: &str = "/tmp";
const RUN_PREFIX: &str = "genesys-purge-";
const LOG: &str = "postgres.log";
const ROOTS_DATA_DIR: &str = "/var/lib/genesys-purge";

/// Where the data of a server are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In this data directory of the service, which is made if it is missing.
    Kept(PathBuf),
    /// In a folder that goes away when the server ends, however it ends.
    Temporary,
}

/// Where `serve` keeps its data when it is not told: as root in `/var/lib`, else in the user's own folder for data.
pub fn default_data_dir() -> PathBuf {
    let home = account::home().filter(|_| !geteuid().is_root());
    let below_home = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
    // A user that nobody knows has no home, and can't run Postgres either: the start will say so.
    home.map_or_else(|| ROOTS_DATA_DIR.into(), |home| home.join(below_home).join("genesys-purge"))
}

/// The data of the server in a data directory.
pub(super) fn cluster_in(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres").join("data")
}

/// Whether a server ever kept data in this data directory.
pub fn has_data(data_dir: &Path) -> bool {
    data_dir.join("postgres").exists()
}

/// Everything that one start needs, claimed and in order.
pub(super) struct Ground {
    pub(super) account: Account,
    pub(super) programs: PathBuf,
    pub(super) cluster: PathBuf,
    pub(super) log: ServerLog,
    pub(super) lock: Option<DirectoryLock>,
    /// Removed with this value, until a supervisor has taken that over.
    pub(super) run_directory: TempDir,
}

impl Ground {
    /// Claims and prepares the folders; ends a server that was left behind there. Blocks.
    pub(super) fn prepare(
        binaries: &Binaries,
        storage: &Storage,
        patience: Patience,
    ) -> Result<Ground, PostgresError> {
        match storage {
            Storage::Kept(data_dir) => Ground::kept(binaries, data_dir, patience),
            Storage::Temporary => Ground::temporary(binaries),
        }
    }

    fn temporary(binaries: &Binaries) -> Result<Ground, PostgresError> {
        let account = Account::choose(Path::new(RUN_ROOT), None)?;
        let run_directory = make_run_directory()?;
        let data_dir = run_directory.path();
        make_server_folder(data_dir, &account)?;
        let log = ServerLog::open(&data_dir.join(LOG))?;
        // Last: until then nobody else can change what is in it.
        account.give(data_dir)?;
        Ok(Ground {
            programs: binaries.choose(&account, data_dir, None)?.to_owned(),
            cluster: cluster_in(data_dir),
            log,
            lock: None,
            account,
            run_directory,
        })
    }

    fn kept(binaries: &Binaries, data_dir: &Path, patience: Patience) -> Result<Ground, PostgresError> {
        let data_dir = std::path::absolute(data_dir).map_err(PostgresError::io("find", data_dir))?;
        if data_dir.join("PG_VERSION").exists() {
            return Err(PostgresError::ForeignCluster { data_dir });
        }
        check_hands(&data_dir)?;
        let account = Account::choose(&data_dir, owner(&data_dir.join("postgres"))?)?;
        make_data_dir(&data_dir, &account)?;
        // The command line of the server, by which it is known again, shall not depend on links.
        let data_dir = fs::canonicalize(&data_dir).map_err(PostgresError::io("find", &data_dir))?;
        check_hands(&data_dir)?;
        let mut lock = DirectoryLock::take(data_dir.join("postgres.lock"), &data_dir)?;
        make_server_folder(&data_dir, &account)?;
        let cluster = cluster_in(&data_dir);
        let log = claim_log(&data_dir, &cluster, patience)?;
        if let Some(stale) = lock.run_directory_before_us()? {
            remove_run_directory(&stale);
        }
        let programs = binaries.choose(&account, &data_dir, version_of(&cluster)?.as_deref())?.to_owned();
        let run_directory = make_run_directory()?;
        account.give(run_directory.path())?;
        lock.sign(run_directory.path())?;
        Ok(Ground { account, programs, cluster, log, lock: Some(lock), run_directory })
    }
}

/// Makes the names of new data as durable as `initdb` made what is in them: from the folder that holds the data up
/// to the one in which the data directory itself was made.
pub(super) fn sync_names(cluster: &Path) -> Result<(), PostgresError> {
    for folder in cluster.ancestors().skip(1).take(3) {
        File::open(folder).and_then(|open| open.sync_all()).map_err(PostgresError::io("sync", folder))?;
    }
    Ok(())
}

/// Removes what a server left behind that had no time to do so; a path that is not a run directory is left alone.
pub(super) fn remove_run_directory(path: &Path) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if path.parent() != Some(Path::new(RUN_ROOT)) || !name.starts_with(RUN_PREFIX) {
        return;
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "could not remove a run directory");
        }
        _ => {}
    }
}

fn make_run_directory() -> Result<TempDir, PostgresError> {
    tempfile::Builder::new()
        .prefix(RUN_PREFIX)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(RUN_ROOT)
        .map_err(PostgresError::io("make a folder in", Path::new(RUN_ROOT)))
}

/// Waits until no process of an earlier start is left, and ends a server that nobody stops.
fn claim_log(data_dir: &Path, cluster: &Path, patience: Patience) -> Result<ServerLog, PostgresError> {
    let log = ServerLog::open(&data_dir.join(LOG))?;
    let deadline = Instant::now() + patience.with_margin();
    loop {
        postmaster::end(cluster, patience)?;
        if log.claim()? {
            return Ok(log);
        }
        if Instant::now() > deadline {
            return Err(PostgresError::StillEnding { data_dir: data_dir.to_owned() });
        }
        std::thread::sleep(POLL);
    }
}

/// The folder that the server's account has to itself.
fn make_server_folder(data_dir: &Path, account: &Account) -> Result<(), PostgresError> {
    let folder = data_dir.join("postgres");
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(PostgresError::io("make", &folder)(error))
        }
        // Also where it was there before: a start that was killed here had no time to hand it over.
        _ => account.give(&folder),
    }
}

/// Makes what is missing of the way to the data directory, and checks that the server's account can go it.
fn make_data_dir(data_dir: &Path, account: &Account) -> Result<(), PostgresError> {
    let mut missing: Vec<&Path> = data_dir.ancestors().take_while(|folder| !folder.exists()).collect();
    let there = data_dir.ancestors().nth(missing.len()).unwrap_or(Path::new("/"));
    check_reach(there, data_dir, account)?;
    if missing.is_empty() {
        return Ok(());
    }
    // Whoever is not root has the folder to itself; else the server's account must pass through it, no more.
    let mode = if account.is_someone_else() { 0o711 } else { 0o700 };
    while let Some(folder) = missing.pop() {
        fs::create_dir(folder).map_err(PostgresError::io("make", folder))?;
        fs::set_permissions(folder, Permissions::from_mode(mode))
            .map_err(PostgresError::io("set the permissions of", folder))?;
    }
    check_reach(data_dir, data_dir, account)
}

fn check_reach(folder: &Path, data_dir: &Path, account: &Account) -> Result<(), PostgresError> {
    match account.barrier_to(folder)? {
        None => Ok(()),
        Some(barrier) => Err(PostgresError::DataUnreachable {
            data_dir: data_dir.to_owned(),
            account: account.name().to_owned(),
            barrier,
            better: ROOTS_DATA_DIR.into(),
        }),
    }
}

/// As root: only root can change what is on the way to the data directory, as far as there is something, or what is in
/// it. Whoever else could would choose where root's files go, and what is handed over to whom.
fn check_hands(data_dir: &Path) -> Result<(), PostgresError> {
    if !geteuid().is_root() {
        return Ok(());
    }
    for step in data_dir.ancestors() {
        let found = match fs::symlink_metadata(step) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(PostgresError::io("look at", step)(error)),
        };
        if let Some(who) = who_changes(&found, step == data_dir) {
            let (data_dir, step) = (data_dir.to_owned(), step.to_owned());
            return Err(PostgresError::Exposed { data_dir, step, who, better: ROOTS_DATA_DIR.into() });
        }
    }
    Ok(())
}

/// Who beside root can change what is in a folder, or where a link leads. In a sticky folder, such as that for temporary
/// files, others can't touch what is root's, but they can add what root would take for its own.
fn who_changes(found: &Metadata, is_data_dir: bool) -> Option<String> {
    let (mode, is_link) = (found.mode(), found.is_symlink());
    let is_guarded = is_link || (mode & 0o1000 != 0 && !is_data_dir);
    match (found.uid(), found.gid()) {
        (owner, _) if owner != 0 => Some(format!("user id {owner}")),
        _ if !is_guarded && mode & 0o002 != 0 => Some("everybody".to_owned()),
        (_, group) if !is_guarded && mode & 0o020 != 0 && group != 0 => Some(format!("group id {group}")),
        _ => None,
    }
}

/// Whose the folder is, where there is one.
fn owner(folder: &Path) -> Result<Option<u32>, PostgresError> {
    match fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => Ok(Some(found.uid())),
        Ok(_) => Err(PostgresError::NotAFolder { path: folder.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PostgresError::io("look at", folder)(error)),
    }
}

/// The major version that made the data, where there are any.
fn version_of(cluster: &Path) -> Result<Option<String>, PostgresError> {
    let path = cluster.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PostgresError::io("read", &path)(error)),
    }
}
