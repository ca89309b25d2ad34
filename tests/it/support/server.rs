//! A Postgres server that is reached over TCP by ordinary roles with a password, as most are in production; the embedded
//! one has a Unix socket alone. For tests and benchmarks: it goes away with the process that starts it.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use genesys_purge::config::Environment;
use genesys_purge::postgres::Binaries;
use genesys_purge::store::Place;
use nix::unistd::{User, geteuid};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

/// Makes the data, runs the server, and ends it when the pipe on standard input closes, as it does however the process at
/// its other end ends.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
programs=$1 run=$2 port=$3
shift 3
"$programs/initdb" -D "$run/data" --username=postgres --encoding=UTF8 --locale=C \
    --auth-local=trust --auth-host=scram-sha-256 --no-sync || exit
"$programs/postgres" -D "$run/data" -k "$run" -p "$port" -c listen_addresses=127.0.0.1 -c max_connections=200 "$@" &
server=$!
read -r _
kill -s INT "$server"
wait "$server"
rm -rf "$run"
"#;

/// Of every role but the superuser, over TCP.
pub const PASSWORD: &str = "between-tests";

/// A running server.
#[derive(Debug)]
pub struct NetworkServer {
    port: u16,
    /// The folder of its socket, for the superuser.
    run: PathBuf,
    child: Child,
    pipe: Option<ChildStdin>,
}

impl NetworkServer {
    /// Starts one; `is_durable` where what is committed shall survive a crash, as in production.
    pub async fn start(is_durable: bool) -> Self {
        Self::start_with(is_durable, &[]).await
    }

    /// The same with more settings, each written `name=value`.
    pub async fn start_with(is_durable: bool, settings: &[&str]) -> Self {
        let binaries = Binaries::find(Environment::of_process().path()).unwrap();
        // Postgres refuses to run as root.
        let account = geteuid().is_root().then(|| {
            ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).unwrap()).unwrap()
        });
        let run = tempfile::Builder::new().prefix("genesys-purge-tcp-").tempdir_in("/tmp").unwrap().keep();
        std::fs::set_permissions(&run, Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("/bin/sh");
        if let Some(account) = account {
            chown(&run, Some(account.uid.as_raw()), Some(account.gid.as_raw())).unwrap();
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        let port = free_port();
        let durability = if is_durable { "on" } else { "off" };
        let log = std::fs::File::create(run.join("log")).unwrap();
        let mut child = command
            .args(["-c", SCRIPT, "serve"])
            .args([binaries.best(), &run])
            .arg(port.to_string())
            .args(
                ["fsync", "full_page_writes", "synchronous_commit"]
                    .map(|name| format!("-c{name}={durability}")),
            )
            .args(settings.iter().map(|setting| format!("-c{setting}")))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let pipe = child.stdin.take();
        let server = Self { port, run, child, pipe };
        server.until_ready().await;
        server
    }

    async fn until_ready(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while let Err(error) = self.superuser("postgres").connect().await {
            let log = std::fs::read_to_string(self.run.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{error}: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How the superuser connects: by the socket.
    pub fn superuser(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.run)
            .port(self.port)
            .username("postgres")
            .database(database)
            .ssl_mode(PgSslMode::Disable)
    }

    /// Makes a role that may do nothing but connect.
    pub async fn make_role(&self, name: &str) {
        let statement = format!("create role {name} login password '{PASSWORD}'");
        let mut connection: PgConnection = self.superuser("postgres").connect().await.unwrap();
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }

    /// The address that such a role is given.
    pub fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}:{PASSWORD}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// The address that such a role is given.
    pub fn place(&self, role: &str, database: &str) -> Place {
        Place::Url(self.url(role, database).into())
    }
}

impl Drop for NetworkServer {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.child.wait();
    }
}

/// One that nobody listens on now.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
