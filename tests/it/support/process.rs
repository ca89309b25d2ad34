//! The program as a real process, with nothing in its environment but what a test says.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use genesys_purge::config::Environment;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::TestService;

/// So long that only a real failure takes longer.
pub const LONG: Duration = Duration::from_mins(2);

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_genesys-purge");

/// The program, in this folder.
pub fn program(variables: &[(String, String)], folder: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    alone(&mut command, variables, folder);
    command
}

/// Leaves the command nothing of this process but where programs are.
pub fn alone(command: &mut Command, variables: &[(String, String)], folder: &Path) {
    command
        .env_clear()
        .envs(Environment::of_process().path().map(|path| ("PATH", path.to_owned())))
        .envs(variables.iter().cloned())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
}

impl TestService {
    /// A `serve` of its settings on its database.
    pub fn serve(&self, arguments: &[&str]) -> Command {
        let mut command = program(&self.variables, Path::new("/"));
        command
            .env("DATABASE_URL", self.database.url())
            .env("PURGE__TELEMETRY__LOG_FORMAT", "json")
            .arg("serve")
            .args(arguments);
        command
    }
}

/// A `serve` that listens.
#[derive(Debug)]
pub struct Up {
    pub process: Child,
    pub url: String,
}

/// A `serve` that ended before it listened.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub said: Vec<String>,
}

/// Starts a `serve` that logs JSON, and waits until it says where it listens. `hear` is told each line that it logs, to its
/// end.
pub async fn start(mut command: Command, mut hear: impl FnMut(&str) + Send + 'static) -> Result<Up, Ended> {
    let mut process = command.stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let (mut said, deadline) = (Vec::new(), Instant::now() + LONG);
    let url = loop {
        let line = timeout_at(deadline, lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("it does not come up: {said:#?}")).unwrap();
        let Some(line) = line else {
            return Err(Ended { status: process.wait().await.unwrap(), said });
        };
        hear(&line);
        let log: Value = serde_json::from_str(&line).unwrap_or_default();
        if log["message"] == "genesys-purge is up" {
            break log["address"].as_str().unwrap().to_owned();
        }
        said.push(line);
    };
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            hear(&line);
        }
    });
    Ok(Up { process, url })
}

/// A `serve` that can be asked, and whose log can be read.
pub struct Serving {
    process: Child,
    pub url: String,
    client: Client,
    log: watch::Receiver<Vec<Value>>,
}

impl Serving {
    /// Starts it and waits until it listens.
    pub async fn start(command: Command) -> Self {
        let (told, log) = watch::channel(Vec::new());
        let hear = move |line: &str| {
            told.send_modify(|lines| lines.push(serde_json::from_str(line).unwrap_or_default()));
        };
        let up = start(command, hear).await;
        let Up { process, url } =
            up.unwrap_or_else(|Ended { status, said }| panic!("serve ended, {status}: {said:#?}"));
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
        let Ok(Ok(lines)) = found else { panic!("nothing like that was logged: {:#?}", self.log()) };
        lines.iter().find(|line| is_so(line)).unwrap().clone()
    }

    /// What it has logged so far.
    pub fn log(&self) -> Vec<Value> {
        self.log.borrow().clone()
    }

    /// The highest resident memory of the process so far, in MiB.
    pub fn peak(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// A limit of the process, by the name that the kernel gives it: as it is, and at most.
    pub fn limit(&self, name: &str) -> (u64, u64) {
        let limits = self.proc("limits");
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(u64::MAX));
        (numbers.next().unwrap(), numbers.next().unwrap())
    }

    /// It is stopped, as by `SIGSTOP`.
    pub fn is_frozen(&self) -> bool {
        self.proc("status").lines().any(|line| line.starts_with("State:\tT"))
    }

    fn proc(&self, file: &str) -> String {
        let pid = self.process.id().expect("it has not ended");
        std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap()
    }

    pub fn send(&self, signal: Signal) {
        send(&self.process, signal);
    }

    /// Sends it a signal and waits for its end: the exit code, none where the signal ended it.
    pub async fn end(self, signal: Signal) -> Option<i32> {
        self.send(signal);
        self.ended().await.code()
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> ExitStatus {
        timeout(LONG, self.process.wait()).await.expect("it ends").unwrap()
    }
}

/// Sends a signal to a process of ours.
pub fn send(process: &Child, signal: Signal) {
    let pid = process.id().expect("it has not ended");
    kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}

/// What the environment names; only CI may not leave out a test for want of it.
pub fn tool(variable: &str) -> Option<PathBuf> {
    let environment = Environment::of_process();
    let named = environment.get(variable).map(PathBuf::from);
    if named.is_none() {
        assert!(environment.get("CI").is_none(), "{variable} is not set, and nothing may be left out here");
        println!("left out: {variable} is not set");
    }
    named
}
