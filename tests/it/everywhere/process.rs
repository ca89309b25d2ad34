//! A process that is started to die.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::Child;
use tokio::time::timeout;

use crate::support::TestService;
use crate::support::process::{Ended, Up, start};

/// So long it may take to reach its point with the work that it has.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Mortal {
    /// How it ended, where it died before it listened.
    life: Result<Child, ExitStatus>,
    /// Where it listens; nowhere where it has died before.
    pub url: Option<String>,
}

impl Mortal {
    /// Starts `serve` on the database of the test, and waits until it is up or dead. Without a point it lives.
    pub async fn start(test: &TestService, point: Option<&str>) -> Self {
        let mut command = test.serve(&[]);
        command.envs(point.map(|point| ("PURGE_CRASH_AT", point)));
        match start(command, |_| {}).await {
            Ok(Up { process, url }) => Self { life: Ok(process), url: Some(url) },
            Err(Ended { status, .. }) if point.is_some() => Self { life: Err(status), url: None },
            Err(ended) => panic!("it ended: {ended:#?}"),
        }
    }

    /// Waits for its death a while; `None` where it lives on.
    pub async fn death(&mut self) -> Option<ExitStatus> {
        match &mut self.life {
            Ok(process) => timeout(PATIENCE, process.wait()).await.ok().map(Result::unwrap),
            Err(status) => Some(*status),
        }
    }

    /// It died by itself, where it was told to.
    pub fn is_abort(status: ExitStatus) -> bool {
        status.signal() == Some(Signal::SIGABRT as i32)
    }
}
