//! The small shell process between the service and the server, which outlives the service just long enough to stop
//! the server, even when the service is killed with SIGKILL.
//!
//! Why not `PR_SET_PDEATHSIG`: it exists on Linux only, and the signal comes as well when the *thread* that
//! started the child ends. A pipe closes exactly when the process does.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::account::Account;
use super::error::PostgresError;
use super::log::ServerLog;
use super::settings::Durability;

const SCRIPT: &str = include_str!("supervise.sh");
const SHELL: &str = "/bin/sh";
/// How often a child is asked whether it has ended, and a server whether it is ready.
pub(super) const POLL: Duration = Duration::from_millis(5);

/// How long a server may take to stop, in whole seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For a shutdown that writes everything out (SIGINT).
    pub(super) fast: u32,
    /// For a shutdown that leaves recovery to the next start (SIGQUIT); then SIGKILL.
    pub(super) immediate: u32,
}

impl Patience {
    /// A checkpoint of 2 GB of write-ahead log on a slow disk takes most of a minute.
    pub(super) const USUAL: Patience = Patience { fast: 60, immediate: 10 };

    /// All of it, and a little for the supervisor itself.
    pub(super) fn with_margin(self) -> Duration {
        Duration::from_secs(u64::from(self.fast) + u64::from(self.immediate) + 5)
    }
}

/// What the supervisor is to run.
pub(super) struct Orders<'a> {
    pub(super) account: &'a Account,
    pub(super) programs: &'a Path,
    pub(super) search_path: &'a OsStr,
    pub(super) cluster: &'a Path,
    pub(super) run_directory: &'a Path,
    pub(super) superuser: &'a str,
    pub(super) durability: Durability,
    pub(super) patience: Patience,
    pub(super) server_arguments: Vec<OsString>,
}

/// A running supervisor. Letting go of it, in whatever way, stops the server.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// `Some` until it was reaped, or handed to the thread that does so.
    child: Option<Child>,
    pipe: Option<ChildStdin>,
    patience: Patience,
}

impl Supervisor {
    /// Starts making the data, where there are none, and then the server.
    pub(super) fn start(orders: Orders<'_>, log: &ServerLog) -> Result<Supervisor, PostgresError> {
        let sync = match orders.durability {
            Durability::Full => "",
            Durability::None => "--no-sync",
        };
        let mut child = orders
            .account
            .command(SHELL)
            .args(["-c", SCRIPT, "supervise"])
            .arg(orders.programs)
            .arg(orders.cluster)
            .arg(orders.run_directory)
            .args([orders.superuser, sync])
            .args([orders.patience.fast.to_string(), orders.patience.immediate.to_string()])
            .args(orders.server_arguments)
            // PGDATA, PGPORT, PGOPTIONS and the like are not meant for this server.
            .env_clear()
            .env("PATH", orders.search_path)
            .env("LC_ALL", "C")
            // The account may be unable to enter the folder that the service stands in.
            .current_dir("/")
            // Ctrl-C in a terminal reaches the service alone, which first finishes what it has begun.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log.for_child()?)
            .spawn()
            .map_err(PostgresError::io("run", Path::new(SHELL)))?;
        let pipe = child.stdin.take();
        Ok(Supervisor { child: Some(child), pipe, patience: orders.patience })
    }

    /// How the server ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, PostgresError> {
        let Some(child) = &mut self.child else { return Ok(None) };
        child.try_wait().map_err(wait_failed)
    }

    /// Closes the pipe and waits until the supervisor has ended; `None` if it did not in time.
    pub(super) async fn stop(mut self) -> Result<Option<ExitStatus>, PostgresError> {
        drop(self.pipe.take());
        let deadline = Instant::now() + self.patience.with_margin();
        while Instant::now() < deadline {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(None)
    }

    #[cfg(test)]
    pub(super) fn pid(&self) -> u32 {
        self.child.as_ref().expect("not dropped yet").id()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let Some(mut child) = self.child.take() else { return };
        if matches!(child.try_wait(), Ok(None)) {
            // Nobody waits for the server to end, but a child that is never waited for stays as a zombie.
            std::thread::spawn(move || child.wait());
        }
    }
}

fn wait_failed(source: io::Error) -> PostgresError {
    PostgresError::io("wait for", Path::new(SHELL))(source)
}
