//! The server process as seen from outside: what its `postmaster.pid` says, whether it lives, and how to end one
//! that nobody supervises any more.
//!
//! Invariant: a process is signalled only when its own command line says that it runs on the data in question; the
//! number in an old file may by now belong to anybody.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::error::PostgresError;
use super::supervisor::{POLL, Patience};

/// How long a process may take to vanish after SIGKILL.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// What `postmaster.pid` says: line 1 the process, 4 the port, 5 the socket's folder, 8 how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub(super) pid: i32,
    pub(super) port: u16,
    pub(super) socket_directory: PathBuf,
    pub(super) is_ready: bool,
}

impl Postmaster {
    /// Reads the file; `None` where there is none, or where it is being written at this moment.
    pub(super) fn read(cluster: &Path) -> Result<Option<Postmaster>, PostgresError> {
        let path = file(cluster);
        match fs::read(&path) {
            Ok(bytes) => Ok(parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PostgresError::io("read", &path)(error)),
        }
    }

    /// The socket that it listens on.
    pub(super) fn socket(&self) -> PathBuf {
        self.socket_directory.join(format!(".s.PGSQL.{}", self.port))
    }

    /// Whether that process lives and is a server on `cluster` (a path without links, as we start them).
    /// One that has ended and was not waited for has no command line any more, and counts as gone.
    pub(super) fn runs_on(&self, cluster: &Path) -> bool {
        let wanted = [b"-D ", cluster.as_os_str().as_bytes(), b" "].concat();
        command_line(self.pid).is_some_and(|line| line.windows(wanted.len()).any(|part| part == wanted))
    }
}

/// Ends the server that still runs on `cluster`, if one does, and clears away the file that it left: Postgres itself
/// only asks whether *some* process has that number, and refuses to start if one has.
///
/// Blocks until the server is gone. The caller holds the lock of the data directory.
pub(super) fn end(cluster: &Path, patience: Patience) -> Result<(), PostgresError> {
    let Some(postmaster) = Postmaster::read(cluster)? else { return Ok(()) };
    let steps = [
        (Signal::SIGINT, Duration::from_secs(patience.fast.into())),
        (Signal::SIGQUIT, Duration::from_secs(patience.immediate.into())),
        (Signal::SIGKILL, AFTER_KILL),
    ];
    for (signal, wait) in steps {
        if !postmaster.runs_on(cluster) {
            return remove(&file(cluster));
        }
        tracing::warn!(pid = postmaster.pid, %signal, "stopping a database server that was left behind");
        // A failure means that it is gone, or not ours to signal, which the next look tells.
        let _ = kill(Pid::from_raw(postmaster.pid), signal);
        let deadline = Instant::now() + wait;
        while postmaster.runs_on(cluster) && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
    }
    if postmaster.runs_on(cluster) {
        return Err(PostgresError::Unstoppable { pid: postmaster.pid });
    }
    remove(&file(cluster))
}

fn file(cluster: &Path) -> PathBuf {
    cluster.join("postmaster.pid")
}

fn remove(path: &Path) -> Result<(), PostgresError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PostgresError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn parse(bytes: &[u8]) -> Option<Postmaster> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let pid = number(lines.next()?)?;
    let port = number(lines.nth(2)?)?;
    let socket_directory = PathBuf::from(OsString::from_vec(lines.next()?.to_vec()));
    let is_ready = lines.nth(2).is_some_and(|status| status.trim_ascii() == b"ready");
    Some(Postmaster { pid, port, socket_directory, is_ready })
}

fn number<N: std::str::FromStr>(line: &[u8]) -> Option<N> {
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}

/// The command line of a process, its words parted by blanks. Unlike a working directory it can be read by a root
/// without capabilities, as in a container.
fn command_line(pid: i32) -> Option<Vec<u8>> {
    if Path::new("/proc/self/cmdline").exists() {
        let mut line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        line.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
        return Some(line);
    }
    let output =
        Command::new("/bin/ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output().ok()?;
    Some(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "4711\n/data\n1700000000\n5432\n/tmp/run\n\n  5432001         3\nready   \n";

    #[test]
    fn the_file_tells_process_socket_and_readiness() {
        let read = parse(WHOLE.as_bytes()).unwrap();

        assert_eq!((read.pid, read.port, read.is_ready), (4711, 5432, true));
        assert_eq!(read.socket(), Path::new("/tmp/run/.s.PGSQL.5432"));
    }

    #[test]
    fn only_the_word_ready_means_ready() {
        for status in ["starting", "stopping", "standby ", ""] {
            let text = WHOLE.replace("ready   ", status);
            assert!(!parse(text.as_bytes()).unwrap().is_ready, "{status}");
        }
    }

    #[test]
    fn a_file_that_is_still_being_written_tells_nothing_or_not_ready() {
        for length in 0..WHOLE.len() - "\n".len() - "y   ".len() {
            assert!(!parse(&WHOLE.as_bytes()[..length]).is_some_and(|read| read.is_ready), "{length}");
        }
    }

    #[test]
    fn a_number_that_now_belongs_to_somebody_else_is_not_signalled() {
        let cluster = tempfile::tempdir().unwrap();
        let stale = WHOLE.replace("4711", &std::process::id().to_string());
        fs::write(file(cluster.path()), stale).unwrap();

        end(cluster.path(), Patience::USUAL).unwrap();

        assert!(!file(cluster.path()).exists());
    }
}
