//! Replicas of the service, as real processes on one database, which are killed and started again.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use genesys_purge::config::Environment;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

use super::schedule::REPLICAS;
use crate::support::process::{Up, program, start};

/// What replicas say.
#[derive(Clone, Default)]
struct Ears {
    panics: Arc<Mutex<Vec<String>>>,
}

pub struct Replicas {
    processes: [tokio::sync::Mutex<Option<Child>>; REPLICAS],
    urls: Mutex<[Option<String>; REPLICAS]>,
    variables: Vec<(String, String)>,
    folder: TempDir,
    /// Where everything that they say is kept, if anywhere.
    logs: Option<PathBuf>,
    ears: Ears,
}

impl Replicas {
    /// None of them runs yet.
    pub fn new(variables: Vec<(String, String)>) -> Self {
        let logs = Environment::of_process().get("PURGE_CHAOS_LOGS").map(PathBuf::from);
        if let Some(logs) = &logs {
            std::fs::create_dir_all(logs).unwrap();
        }
        Self {
            processes: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            urls: Mutex::default(),
            variables,
            folder: tempfile::tempdir().unwrap(),
            logs,
            ears: Ears::default(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&self.variables, self.folder.path());
        command.args(arguments);
        command
    }

    /// A new key with every scope that the callers need.
    pub async fn make_key(&self) -> String {
        let mut arguments = vec!["keys", "create", "--name", "chaos"];
        for scope in ["purges:read", "purges:write", "holds:write", "admin"] {
            arguments.extend(["--scope", scope]);
        }
        let said = self.command(&arguments).output().await.unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap().lines().last().unwrap().to_owned()
    }

    /// Those that listen now.
    pub fn urls(&self) -> Vec<String> {
        self.urls.lock().unwrap().iter().flatten().cloned().collect()
    }

    /// Starts one and waits until it listens. One that ends before that is started again, as a platform would.
    pub async fn start(&self, replica: usize) {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let (ears, mut log) = (self.ears.clone(), self.log(replica));
            let starting = start(self.command(&["serve"]), move |line| ears.hear(line, &mut log));
            if let Ok(Up { process, url }) = timeout_at(deadline, starting).await.expect("a replica comes up")
            {
                self.urls.lock().unwrap()[replica] = Some(url);
                *self.processes[replica].lock().await = Some(process);
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn log(&self, replica: usize) -> Option<File> {
        let path = self.logs.as_ref()?.join(format!("replica-{replica}.log"));
        Some(OpenOptions::new().create(true).append(true).open(path).unwrap())
    }

    /// Kills one that may run; tells whether it did.
    pub async fn kill(&self, replica: usize) -> bool {
        self.urls.lock().unwrap()[replica] = None;
        let Some(mut child) = self.processes[replica].lock().await.take() else { return false };
        child.kill().await.unwrap();
        true
    }

    /// Whether those that were not killed still run.
    pub async fn assert_alive(&self) {
        for (replica, process) in self.processes.iter().enumerate() {
            if let Some(child) = process.lock().await.as_mut() {
                let ended = child.try_wait().unwrap();
                assert!(ended.is_none(), "replica {replica} ended by itself: {ended:?}");
            }
        }
    }

    /// No replica ever panicked.
    pub fn assert_no_panic(&self) {
        let panics = self.ears.panics.lock().unwrap();
        assert!(panics.is_empty(), "{panics:#?}");
    }
}

impl Ears {
    fn hear(&self, line: &str, log: &mut Option<File>) {
        if let Some(log) = log {
            writeln!(log, "{line}").unwrap();
        }
        if line.contains("panicked") {
            self.panics.lock().unwrap().push(line.to_owned());
        }
    }
}
