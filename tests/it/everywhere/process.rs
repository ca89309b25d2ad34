//! A process that is started to die.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};

use genesys_purge::config::Environment;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::LONG;
use crate::support::TestService;

pub struct Mortal {
    process: Child,
    /// Where it listens; nowhere where it has died before.
    pub url: Option<String>,
}

impl Mortal {
    /// Starts `serve` on the database of the test, and waits until it is up or dead. Without a point it lives.
    pub async fn start(test: &TestService, point: Option<&str>) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_genesys-purge"))
            .arg("serve")
            .env_clear()
            .envs(Environment::of_process().path().map(|path| ("PATH", path.to_owned())))
            .envs(test.variables.iter().cloned())
            .env("DATABASE_URL", test.database.url())
            .envs(point.map(|point| ("PURGE_CRASH_AT", point)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let url = loop {
            let line = timeout(LONG, lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("it does not come up: {said:#?}")).unwrap();
            let Some(line) = line else { break None };
            let log: Value = serde_json::from_str(&line).unwrap_or_default();
            if log["message"] == "genesys-purge is up" {
                break Some(log["address"].as_str().unwrap().to_owned());
            }
            said.push(line);
        };
        assert!(url.is_some() || point.is_some(), "it ended: {said:#?}");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { process, url }
    }

    /// Waits for its death; `None` where it lives on.
    pub async fn death(&mut self) -> Option<ExitStatus> {
        timeout(LONG, self.process.wait()).await.ok().map(Result::unwrap)
    }

    /// It died by itself, where it was told to.
    pub fn is_abort(status: ExitStatus) -> bool {
        status.signal() == Some(nix::sys::signal::Signal::SIGABRT as i32)
    }
}
