//! A pooler in transaction mode before the database of a test: pgbouncer, as it is in production.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use genesys_purge::config::Environment;
use genesys_purge::store::Place;
use nix::unistd::{User, geteuid};
use tempfile::TempDir;

use super::postgres::TestDatabase;

/// A running pgbouncer; it ends with this.
pub struct Pooler {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Pooler {
    /// Each transaction is on one of so many sessions. `more` are further settings of it.
    pub async fn to(database: &TestDatabase, sessions: usize, more: &str) -> Self {
        let Place::Socket { directory, port: server, user, database } = database.place() else {
            panic!("it leads to a socket alone")
        };
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let folder = tempfile::Builder::new().prefix("gp-pooler-").tempdir_in("/tmp").unwrap();
        let settings = folder.path().join("pgbouncer.ini");
        let directory = directory.display();
        std::fs::write(
            &settings,
            format!(
                "[databases]\n{database} = host={directory} port={server} user={user} dbname={database}\n\
                 [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
                 pool_mode = transaction\ndefault_pool_size = {sessions}\nmax_client_conn = 200\n{more}\n"
            ),
        )
        .unwrap();
        let mut command = Command::new(program());
        // It refuses to run as root.
        if geteuid().is_root() {
            let account = User::from_name("postgres").unwrap().unwrap();
            chown(folder.path(), Some(account.uid.as_raw()), Some(account.gid.as_raw())).unwrap();
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = command
            .arg(&settings)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let url = format!("postgres://{user}@127.0.0.1:{port}/{database}?sslmode=disable");
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "pgbouncer does not listen: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { child, url, _folder: folder }
    }

    /// Where a command finds the database through it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where a service does that knows of it.
    pub fn place(&self) -> Place {
        Place::Pooled(self.url.clone().into())
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian keeps it out of most users' way.
fn program() -> PathBuf {
    let environment = Environment::of_process();
    let folders = environment.path().map(std::env::split_paths).into_iter().flatten();
    let found = folders
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join("pgbouncer"))
        .find(|program| program.is_file());
    found.expect("these tests need pgbouncer: apt-get install pgbouncer")
}
