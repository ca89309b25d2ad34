//! The server's log file: where it writes to, what it said last, and by which it is known whether any process of it
//! still lives.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::fcntl::OFlag;

use super::error::PostgresError;

/// A log beyond this size is put aside at the next start, in place of the one put aside before it.
const LARGE: u64 = 10 * 1024 * 1024;
/// How much of the end of the log an error carries.
const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 20;

/// The log of one start: what was written before is not its own.
///
/// It holds the file open, because a temporary server's log is deleted as soon as that server has ended, which is
/// when its last lines are wanted.
#[derive(Debug)]
pub(super) struct ServerLog {
    file: File,
    path: PathBuf,
    from: u64,
}

impl ServerLog {
    /// Opens the log for appending.
    pub(super) fn open(path: &Path) -> Result<ServerLog, PostgresError> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path)
            .map_err(PostgresError::io("open", path))?;
        Ok(ServerLog { file, path: path.to_owned(), from: 0 })
    }

    /// Makes the log that of a new start, unless a process of an earlier one lives: then `false`.
    ///
    /// Every process of a server, from `initdb` to the last session, has inherited this open file as its standard
    /// error, and with it the kernel's lock on it. No process id tells as much: the first process may be gone, and
    /// others of its server still write into the data.
    pub(super) fn claim(&mut self) -> Result<bool, PostgresError> {
        match self.file.try_lock() {
            Ok(()) => self.begin().map(|()| true).map_err(PostgresError::io("put aside", &self.path)),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(PostgresError::io("lock", &self.path)(source)),
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        self.from = self.file.metadata()?.len();
        if self.from > LARGE {
            fs::copy(&self.path, self.path.with_extension("log.old"))?;
            self.file.set_len(0)?;
            self.from = 0;
        }
        Ok(())
    }

    /// The file, for a child to write its errors to. (An inherited terminal or pipe would keep whoever reads it
    /// waiting until the server has ended.)
    pub(super) fn for_child(&self) -> Result<Stdio, PostgresError> {
        self.file.try_clone().map(Stdio::from).map_err(PostgresError::io("open", &self.path))
    }

    /// The last lines that were written since this start.
    pub(super) fn tail(&self) -> String {
        self.read_tail().unwrap_or_else(|error| format!("({} can't be read: {error})", self.path.display()))
    }

    fn read_tail(&self) -> io::Result<String> {
        let mut file = &self.file;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(self.from.max(end.saturating_sub(TAIL_BYTES))))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_tail_is_the_end_of_what_this_start_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postgres.log");
        fs::write(&path, "of an earlier start\n").unwrap();
        let mut log = ServerLog::open(&path).unwrap();
        assert!(log.claim().unwrap());
        assert_eq!(log.tail(), "");

        for line in 0..5000 {
            writeln!(&log.file, "line {line}").unwrap();
        }

        let tail = log.tail();
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.starts_with("line 4980\n") && tail.ends_with("line 4999"), "{tail}");
    }

    #[test]
    fn the_log_can_be_read_after_it_was_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postgres.log");
        let log = ServerLog::open(&path).unwrap();
        writeln!(&log.file, "FATAL: no").unwrap();

        fs::remove_file(&path).unwrap();

        assert_eq!(log.tail(), "FATAL: no");
    }

    #[test]
    fn a_large_log_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postgres.log");
        File::create(&path).unwrap().set_len(LARGE + 1).unwrap();

        assert!(ServerLog::open(&path).unwrap().claim().unwrap());

        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        assert_eq!(fs::metadata(folder.path().join("postgres.log.old")).unwrap().len(), LARGE + 1);
    }

    #[test]
    fn a_log_is_not_claimed_while_a_child_of_its_last_start_lives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postgres.log");
        let mut first = ServerLog::open(&path).unwrap();
        assert!(first.claim().unwrap());
        let mut child = std::process::Command::new("/bin/cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(first.for_child().unwrap())
            .spawn()
            .unwrap();
        drop(first);
        let mut second = ServerLog::open(&path).unwrap();

        let while_it_lives = second.claim().unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();

        assert!(!while_it_lives);
        // Another test may be forking at this moment, and its child holds all our files until it runs its program.
        while !second.claim().unwrap() {
            std::thread::yield_now();
        }
    }
}
