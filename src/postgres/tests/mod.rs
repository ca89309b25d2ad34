//! The embedded server, tried with real servers.

mod archive;
mod deaths;
mod folders;
mod life;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::account::Account;
use super::postmaster::Postmaster;
use super::supervisor::Patience;
use super::*;

/// So much that only a real failure takes as long.
const LONG: Duration = Duration::from_mins(1);

fn binaries() -> Binaries {
    Binaries::find(None).unwrap()
}

async fn start(storage: Storage) -> Result<Server, PostgresError> {
    Server::start(&binaries(), storage, Durability::None).await
}

/// A folder that the server's account may pass through.
fn passable_folder() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o711)).tempdir_in("/tmp").unwrap()
}

fn kept(folder: &TempDir) -> Storage {
    Storage::Kept(data_dir(folder))
}

fn data_dir(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

fn cluster(folder: &TempDir) -> PathBuf {
    super::folders::cluster_in(&data_dir(folder))
}

fn postmaster(cluster: &Path) -> Postmaster {
    Postmaster::read(cluster).unwrap().expect("a server runs")
}

fn log_of(folder: &TempDir) -> String {
    fs::read_to_string(data_dir(folder).join("postgres.log")).unwrap()
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "never came to be: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// What the server answers, by a client that is not ours.
fn ask(address: &Address, sql: &str) -> String {
    let account = Account::choose(Path::new("/"), None).unwrap();
    let programs = binaries().choose(&account, Path::new("/"), None).unwrap().to_owned();
    let output = Command::new(programs.join("psql"))
        .env_clear()
        .args([
            "-X",
            "-A",
            "-t",
            "-q",
            "-d",
            "postgres",
            "-U",
            &address.user,
            "-p",
            &address.port.to_string(),
        ])
        .arg("-h")
        .arg(&address.socket_directory)
        .args(["-c", sql])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
