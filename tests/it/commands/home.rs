//! An operator's machine for one test: a working folder, a data directory, a simulated Genesys, and an otherwise empty
//! environment.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use genesys_purge::sandbox::{self, JobDuration, Running, Sandbox, Shares};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::support::process::{LONG, PROGRAM, Serving, alone};

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
        alone(&mut command, &self.variables, &self.folder.path().join("work"));
        command.args(arguments).arg("--data-dir").arg(self.data_dir());
        command
    }

    /// Starts `serve` and waits until it listens.
    pub async fn serve(&self) -> Serving {
        Serving::start(self.command(&["serve"])).await
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
