//! A machine of an operator, for one test: a folder to work in, a data directory, a simulated Genesys to point at, and
//! an environment that has nothing else in it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use genesys_purge::config::Environment;
use genesys_purge::sandbox::{self, JobDuration, Running, Sandbox, Shares};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// So long that only a real failure takes longer.
pub const LONG: Duration = Duration::from_mins(2);

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_genesys-purge");

pub struct Home {
    folder: TempDir,
    pub sandbox: Running,
    variables: Vec<(String, String)>,
    /// How many files a program may have open unless it asks for more.
    soft_files: Option<u32>,
}

impl Home {
    /// With an organization of eligible conversations whose jobs take so long.
    pub async fn with_jobs_of(base_ms: u32) -> Self {
        let settings = sandbox::Settings {
            conversations: 50,
            shares: Shares { eligible: 1.0, ..Shares::none() },
            job_duration: JobDuration { base_ms, jitter_ms: 0 },
            failed_share: 0.0,
            partial_share: 0.0,
            job_unknown_ms: 0,
            leave_out_share: 0.0,
            requests_per_minute: 0,
            ..sandbox::Settings::default()
        };
        let sandbox = Sandbox::start(settings, ([127, 0, 0, 1], 0).into(), false).await.unwrap();
        let organization = sandbox.sandbox().settings();
        let variables = [
            ("GENESYS_BASE_URL", sandbox.url.as_str()),
            ("GENESYS_CLIENT_ID", &organization.client_id),
            ("GENESYS_CLIENT_SECRET", &organization.client_secret),
            ("PURGE__SERVER__BIND", "127.0.0.1:0"),
            ("PURGE__ORGS__DEFAULT__REQUESTS_PER_MINUTE", "0"),
            ("PURGE__ENGINE__POLL_INITIAL", "200ms"),
            ("PURGE__ENGINE__ABSENCE_GAP", "100ms"),
            ("PURGE__TELEMETRY__LOG_FORMAT", "json"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        // The account of the database's server must be able to pass.
        let passable = Permissions::from_mode(0o711);
        let folder = tempfile::Builder::new().permissions(passable).tempdir_in("/tmp").unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        Self { folder, sandbox, variables, soft_files: None }
    }

    /// Sets a variable of the environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Programs may have so many files open, unless they ask for more.
    pub fn limit_files(&mut self, soft: u32) {
        self.soft_files = Some(soft);
    }

    /// Writes a file into the folder that it works in.
    pub fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.folder.path().join("work").join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.soft_files {
            None => Command::new(PROGRAM),
            Some(soft) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("ulimit -S -n {soft} && exec \"$@\""), "sh", PROGRAM]);
                shell
            }
        };
        command
            .env_clear()
            .envs(Environment::of_process().path().map(|path| ("PATH", path.to_owned())))
            .envs(self.variables.iter().cloned())
            .current_dir(self.folder.path().join("work"))
            .args(arguments)
            .arg("--data-dir")
            .arg(self.data_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        let ended = timeout(LONG, self.command(arguments).output()).await;
        ended.unwrap_or_else(|_| panic!("{arguments:?} did not end")).unwrap()
    }

    /// Runs a command that must succeed; what it wrote to standard output.
    pub async fn say(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes a key with every scope that purges need; it is the last line.
    pub async fn key(&self) -> String {
        let said = self
            .say(&["keys", "create", "--name", "it", "--scope", "purges:read", "--scope", "purges:write"])
            .await;
        said.lines().last().unwrap().to_owned()
    }

    /// The processes whose command lines name the data directory: the database's server and whoever watches it.
    pub fn database_processes(&self) -> Vec<String> {
        let data_dir = self.data_dir().display().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            (line.contains(&data_dir) && !line.starts_with(PROGRAM)).then_some(line)
        });
        processes.collect()
    }

    pub async fn until_no_database_runs(&self) {
        let is_clean = until(|| self.database_processes().is_empty()).await;
        assert!(is_clean, "left behind: {:#?}", self.database_processes());
    }
}

/// Waits until it is so; false where it never was.
pub async fn until(mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

/// A running `serve`.
pub struct Serving {
    process: Child,
    pub url: String,
    client: Client,
    log: watch::Receiver<Vec<Value>>,
}

impl Serving {
    /// Starts it and waits until it says where it listens.
    pub async fn start(home: &Home) -> Self {
        let mut process = home.command(&["serve"]).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (mut said, deadline) = (Vec::new(), Instant::now() + LONG);
        let url = loop {
            let line = tokio::time::timeout_at(deadline, lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("serve does not come up: {said:#?}")).unwrap();
            let Some(line) = line else { panic!("serve ended: {said:#?}") };
            let log: Value = serde_json::from_str(&line).unwrap_or_default();
            if log["message"] == "genesys-purge is up" {
                break log["address"].as_str().unwrap().to_owned();
            }
            said.push(line);
        };
        let said = said.iter().map(|line| serde_json::from_str(line).unwrap_or_default()).collect();
        let (told, log) = watch::channel::<Vec<Value>>(said);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                told.send_modify(|lines| lines.push(serde_json::from_str(&line).unwrap_or_default()));
            }
        });
        let client = Client::builder().tls_certs_only([]).no_proxy().timeout(LONG).build().unwrap();
        Self { process, url, client, log }
    }

    pub fn request(&self, key: &str, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(key)
    }

    /// `GET`, which must succeed.
    pub async fn get(&self, key: &str, path: &str) -> Value {
        let response = self.request(key, Method::GET, path).send().await.unwrap();
        response.error_for_status().unwrap().json().await.unwrap()
    }

    /// Waits until it has logged a line like that.
    pub async fn logged(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut log = self.log.clone();
        let found = timeout(LONG, log.wait_for(|lines| lines.iter().any(&is_so))).await;
        let lines = found.expect("nothing like that was logged").unwrap();
        lines.iter().find(|line| is_so(line)).unwrap().clone()
    }

    /// The highest resident memory of the process so far, in MiB.
    pub fn peak(&self) -> f64 {
        let path = format!("/proc/{}/status", self.process.id().expect("it has not ended"));
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// A limit of the process, by the name that the kernel gives it: as it is, and at most.
    pub fn limit(&self, name: &str) -> (u64, u64) {
        let path = format!("/proc/{}/limits", self.process.id().expect("it has not ended"));
        let limits = std::fs::read_to_string(path).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(u64::MAX));
        (numbers.next().unwrap(), numbers.next().unwrap())
    }

    /// Sends it a signal and waits for its end: the exit code, none where the signal ended it.
    pub async fn end(mut self, signal: Signal) -> Option<i32> {
        send(&self.process, signal);
        timeout(LONG, self.process.wait()).await.expect("it ends").unwrap().code()
    }
}

/// Sends a signal to a process of ours.
pub fn send(process: &Child, signal: Signal) {
    let pid = process.id().expect("it has not ended");
    kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}
