//! Servers of a test's own, which it may kill, copy, recover, promote and exchange under a running service.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use genesys_purge::config::Environment;
use genesys_purge::postgres::{Address, Binaries};
use nix::unistd::{User, geteuid};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};
use tempfile::TempDir;

use super::postgres::TestDatabase;

const PORT: u16 = 5432;
const SUPERUSER: &str = "purge";
const DATABASE: &str = "purge";

/// Runs the server until its standard input ends, however that comes, or names a signal.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
"$1/postgres" -D "$2" -k "$3" -p 5432 -c listen_addresses= -c fsync=off -c max_connections=50 &
server=$!
read -r signal
kill -s "${signal:-QUIT}" "$server"
wait "$server"
"#;

/// Files of servers, and what runs on them; all gone with this.
pub struct Machine {
    folder: TempDir,
    binaries: PathBuf,
    account: Option<User>,
}

/// A running server.
pub struct Running {
    child: Child,
    socket: PathBuf,
}

impl Machine {
    /// One with a first server's files, of which nothing runs.
    pub fn new() -> Self {
        let binaries = Binaries::find(Environment::of_process().path()).unwrap().best().to_owned();
        // Postgres refuses to run as root.
        let account = geteuid().is_root().then(|| User::from_name("postgres").unwrap().unwrap());
        let folder = tempfile::Builder::new().prefix("gp-cluster-").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        if let Some(account) = &account {
            chown(folder.path(), Some(account.uid.as_raw()), Some(account.gid.as_raw())).unwrap();
        }
        Self { folder, binaries, account }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(account) = &self.account {
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(&self.binaries.join(program)).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
    }

    /// The files of a new server.
    pub fn init(&self, name: &str) {
        let data = self.path(name);
        let (data, user) = (data.to_str().unwrap(), format!("--username={SUPERUSER}"));
        self.run(
            "initdb",
            &["-D", data, &user, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
        );
    }

    /// Adds to the settings of a server.
    pub fn configure(&self, name: &str, lines: &str) {
        let file = self.path(name).join("postgresql.auto.conf");
        let mut file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
        writeln!(file, "{lines}").unwrap();
    }

    /// Tells a server's files what they are when it starts next: `standby.signal`, `recovery.signal`.
    pub fn signal(&self, name: &str, file: &str) {
        let file = self.path(name).join(file);
        std::fs::write(&file, "").unwrap();
        if let Some(account) = &self.account {
            chown(&file, Some(account.uid.as_raw()), Some(account.gid.as_raw())).unwrap();
        }
    }

    /// A copy of a running server's files.
    pub fn base_backup(&self, of: &Running, name: &str) {
        let mut command = self.client("pg_basebackup", of);
        command.arg("-D").arg(self.path(name)).args(["--checkpoint=fast", "--no-sync"]);
        assert!(command.status().unwrap().success());
    }

    /// A copy of files on which nothing runs.
    pub fn copy(&self, of: &str, name: &str) {
        let (of, name) = (self.path(of), self.path(name));
        let output = self.command(Path::new("/bin/cp")).arg("-a").args([of, name]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Writes down what is in the database of the service.
    pub fn dump(&self, of: &Running, into: File) {
        self.client("pg_dump", of)
            .arg(DATABASE)
            .stdout(into)
            .status()
            .map(|done| assert!(done.success()))
            .unwrap();
    }

    /// And puts it into a server that has nothing of it.
    pub async fn restore(&self, from: File, into: &Running) {
        into.sql("postgres", &format!("create database {DATABASE}")).await;
        let mut psql = self.client("psql", into);
        psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-d", DATABASE]).stdin(from).stdout(Stdio::null());
        assert!(psql.status().unwrap().success());
    }

    fn client(&self, program: &str, of: &Running) -> Command {
        let mut command = self.command(&self.binaries.join(program));
        command.arg("-h").arg(&of.socket).args(["-p", &PORT.to_string(), "-U", SUPERUSER]);
        command
    }

    /// A folder that servers may write to.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.path(name);
        assert!(self.command(Path::new("/bin/mkdir")).arg("-p").arg(&folder).status().unwrap().success());
        folder
    }

    /// Starts a server on these files, and waits until it answers.
    pub async fn start(&self, name: &str) -> Running {
        let socket = self.folder(&format!("{name}.s"));
        let log = File::create(self.path(&format!("{name}.log"))).unwrap();
        let child = self
            .command(Path::new("/bin/sh"))
            .args(["-c", SCRIPT, "serve"])
            .args([&self.binaries, &self.path(name), &socket])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let running = Running { child, socket };
        let deadline = Instant::now() + Duration::from_mins(1);
        while let Err(error) = running.options("postgres").connect().await {
            let log = std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default();
            assert!(Instant::now() < deadline, "{error}: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        running
    }

    /// Ends a standby's recovery; it takes writes from then on.
    pub async fn promote(&self, name: &str, standby: &Running) {
        self.run("pg_ctl", &["promote", "-w", "-s", "-D", self.path(name).to_str().unwrap()]);
        assert!(!standby.is_true("select pg_is_in_recovery()").await);
    }

    /// The database of a service that finds it on whatever server is in front.
    pub async fn database(&self, running: &Running) -> TestDatabase {
        running.sql("postgres", &format!("create database {DATABASE}")).await;
        self.put_in_front(running);
        let database = self.front();
        super::postgres::migrate(&database.place()).await;
        database
    }

    /// The same, where it is there already.
    pub fn front(&self) -> TestDatabase {
        let socket_directory = self.path("front");
        TestDatabase::at(Address { socket_directory, port: PORT, user: SUPERUSER.to_owned() }, DATABASE)
    }

    /// From now on new connections lead to this server.
    pub fn put_in_front(&self, running: &Running) {
        let front = self.path("front");
        std::fs::create_dir_all(&front).unwrap();
        let (name, next) = (front.join(format!(".s.PGSQL.{PORT}")), front.join("next"));
        symlink(running.socket.join(format!(".s.PGSQL.{PORT}")), &next).unwrap();
        std::fs::rename(next, name).unwrap();
    }
}

impl Running {
    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket)
            .port(PORT)
            .username(SUPERUSER)
            .database(database)
    }

    async fn connect(&self, database: &str) -> PgConnection {
        self.options(database).connect().await.unwrap()
    }

    pub async fn sql(&self, database: &str, statement: &str) {
        self.connect(database).await.execute(AssertSqlSafe(statement)).await.unwrap();
    }

    pub async fn is_true(&self, question: &str) -> bool {
        let mut connection = self.connect("postgres").await;
        sqlx::query_scalar(AssertSqlSafe(question)).fetch_one(&mut connection).await.unwrap()
    }

    /// How another server finds it.
    pub fn conninfo(&self) -> String {
        format!("host={} port={PORT} user={SUPERUSER}", self.socket.display())
    }

    /// Ends it in good order: all that was written is in its files.
    pub fn stop(mut self) {
        self.child.stdin.take().unwrap().write_all(b"INT\n").unwrap();
        self.child.wait().unwrap();
    }

    /// As if its machine had died.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}
