//! What the benchmarks stand on: the real binary as a process of its own, and small measures.

#![allow(dead_code, unreachable_pub, reason = "each benchmark takes what it needs of it")]

pub mod history;
mod network;
#[path = "../../tests/it/support/server.rs"]
pub mod server;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream;
use genesys_purge::postgres::{self, Address};
use genesys_purge::sandbox::{JobDuration, Settings, Shares};
use genesys_purge::store::Place;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::{Body, Client, header};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use tempfile::TempDir;
use uuid::Uuid;

/// The service as a process, with an embedded Postgres of its own.
pub struct Process {
    child: Child,
    data: TempDir,
    /// Where it listens.
    pub url: String,
    /// A key with every scope.
    pub key: String,
    /// A client.
    pub client: Client,
}

impl Process {
    /// Starts `serve`; `upstream` is the base URL of a simulated Genesys.
    pub fn start(upstream: &str, variables: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        // The embedded server's user must get through to its folder.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(data.path(), mode).unwrap();
        let command = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_genesys-purge"));
            command
                .args(["--data-dir".as_ref(), data.path().as_os_str()])
                .current_dir(data.path())
                .env("GENESYS_BASE_URL", upstream)
                .env("GENESYS_CLIENT_ID", "sandbox-client")
                .env("GENESYS_CLIENT_SECRET", "sandbox-secret")
                .env("PURGE__SERVER__BIND", "127.0.0.1:0")
                .env("PURGE__ORGS__DEFAULT__REQUESTS_PER_MINUTE", "0")
                .env("PURGE__INTAKE__PURGES_PER_MINUTE", "0")
                .env("PURGE__INTAKE__OPEN_PURGES_PER_KEY", "0")
                .envs(variables.iter().copied());
            command
        };
        // A database of one's own is not brought up to date by `serve`.
        if variables.iter().any(|(name, _)| *name == "DATABASE_URL") {
            assert!(command().arg("migrate").status().unwrap().success());
        }
        let mut child = command()
            .arg("serve")
            .env("PURGE__TELEMETRY__LOG_FORMAT", "json")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let line: serde_json::Value = serde_json::from_str(&line).ok()?;
                Some(line.get("address")?.as_str()?.to_owned())
            })
            .expect("the service did not start");
        std::thread::spawn(move || lines.for_each(drop));
        let key = make_key(command());
        let client = Client::builder().tls_certs_only([]).no_proxy().no_gzip().build().unwrap();
        Self { child, data, url, key, client }
    }

    /// Another key.
    pub fn make_key(&self) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_genesys-purge"));
        command.args(["--data-dir".as_ref(), self.data.path().as_os_str()]).current_dir(self.data.path());
        make_key(command)
    }

    /// The processor time that it has taken so far, in seconds.
    pub fn busy(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / 100.0
    }

    /// A connection to its database.
    pub async fn connect(&self) -> PgConnection {
        options(&address(self.data.path())).connect().await.unwrap()
    }

    /// Where its database is.
    pub fn place(&self) -> Place {
        let address = address(self.data.path());
        Place::Socket {
            directory: address.socket_directory,
            port: address.port,
            user: address.user,
            database: "genesys_purge".to_owned(),
        }
    }

    /// Uploads a CSV of so many random ids; seconds from the first byte to the answer, and the purge's id.
    pub async fn accept(&self, seed: u64, number: usize) -> (f64, String) {
        self.upload(random_ids(seed, number)).await
    }

    /// Uploads a CSV of these ids; seconds from the first byte to the answer, and the purge's id.
    pub async fn upload(&self, mut ids: impl Iterator<Item = Uuid> + Send + 'static) -> (f64, String) {
        let mut is_first = true;
        let chunks = std::iter::from_fn(move || {
            let mut chunk = String::with_capacity(64 * 1024);
            if std::mem::take(&mut is_first) {
                chunk.push_str("conversationId\n");
            }
            for id in ids.by_ref().take(1700) {
                chunk.push_str(&id.to_string());
                chunk.push('\n');
            }
            (!chunk.is_empty()).then(|| Ok::<_, std::io::Error>(Bytes::from(chunk)))
        });
        let began = Instant::now();
        let request = self.client.post(format!("{}/purges", self.url)).bearer_auth(&self.key);
        let body = Body::wrap_stream(stream::iter(chunks));
        let response = request.header(header::CONTENT_TYPE, "text/csv").body(body).send().await.unwrap();
        let status = response.status();
        let purge: serde_json::Value = response.json().await.unwrap();
        assert_eq!(status, 202, "{purge}");
        (began.elapsed().as_secs_f64(), purge["id"].as_str().unwrap().to_owned())
    }

    /// Asks for a purge by JSON; the purge's id.
    pub async fn purge(&self, body: serde_json::Value) -> String {
        let request = self.client.post(format!("{}/purges", self.url)).bearer_auth(&self.key);
        let response = request.json(&body).send().await.unwrap();
        let status = response.status();
        let purge: serde_json::Value = response.json().await.unwrap();
        assert_eq!(status, 202, "{purge}");
        purge["id"].as_str().unwrap().to_owned()
    }

    /// Waits until a purge is final, half a minute at most.
    pub async fn finish(&self, purge: &str) {
        let url = format!("{}/purges/{purge}?wait=30", self.url);
        let request = self.client.get(url).bearer_auth(&self.key);
        request.send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
    }

    /// Resident memory in MiB: now, and at its highest.
    pub fn memory(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
        };
        (field("VmRSS"), field("VmHWM"))
    }

    /// Forgets the highest memory so far.
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

fn make_key(mut command: Command) -> String {
    let scopes = ["purges:read", "purges:write", "holds:write", "webhooks:write", "admin"];
    command.args(["keys", "create", "--name", "bench"]);
    let made = command.args(scopes.iter().flat_map(|scope| ["--scope", scope])).output().unwrap();
    String::from_utf8(made.stdout).unwrap().lines().last().expect("no key was made").to_owned()
}

fn address(data_dir: &Path) -> Address {
    postgres::running(data_dir).unwrap().expect("the embedded server does not run")
}

fn options(address: &Address) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(&address.socket_directory)
        .port(address.port)
        .username(&address.user)
        .database("genesys_purge")
        .ssl_mode(PgSslMode::Disable)
}

/// A calm organization of eligible conversations, whose jobs take a second.
pub fn organization(seed: u64, conversations: u32, slots: u32) -> Settings {
    Settings {
        seed,
        conversations,
        shares: Shares { eligible: 1.0, ..Shares::none() },
        job_duration: JobDuration { base_ms: 1000, jitter_ms: 0 },
        failed_share: 0.0,
        partial_share: 0.0,
        job_unknown_ms: 0,
        deletion_lag_ms: 0,
        leave_out_share: 0.0,
        requests_per_minute: 0,
        max_concurrent_jobs: slots,
        ..Settings::default()
    }
}

/// Median and 99th percentile of seconds, in milliseconds.
pub fn quantiles(mut figures: Vec<f64>) -> (f64, f64) {
    figures.sort_by(f64::total_cmp);
    (figures[figures.len() / 2] * 1e3, figures[figures.len() * 99 / 100] * 1e3)
}

/// Smallest, median and largest.
pub fn spread(mut figures: Vec<f64>) -> (f64, f64, f64) {
    figures.sort_by(f64::total_cmp);
    (figures[0], figures[figures.len() / 2], figures[figures.len() - 1])
}

/// Random ids that follow from a seed.
pub fn random_ids(seed: u64, number: usize) -> impl Iterator<Item = Uuid> + Send {
    let mut random = StdRng::seed_from_u64(seed);
    (0..number).map(move |_| Uuid::from_u128(random.random()))
}
