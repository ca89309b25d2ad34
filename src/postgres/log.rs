//! The server's log file: where it is, its last lines, and a lock that shows whether any server process still lives.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::fcntl::OFlag;

use super::error::PostgresError;
use super::off_the_runtime;

/// A log beyond this size is put aside, in place of the one put aside before it.
const LARGE: u64 = 10 * 1024 * 1024;
/// How often the size is looked at while the server runs.
const LOOK: Duration = Duration::from_secs(2);
/// How much of the end of the log an error carries.
const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 20;
const COPIED_AT_ONCE: usize = 64 * 1024;

/// The log of one start: what was written before is not its own.
///
/// It holds the file open, because a temporary server's log is deleted as soon as that server has ended, which is
/// when its last lines are wanted.
#[derive(Debug, Clone)]
pub(super) struct ServerLog {
    file: Arc<File>,
    path: PathBuf,
    /// Where this start begins.
    from: Arc<AtomicU64>,
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
        Ok(ServerLog { file: Arc::new(file), path: path.to_owned(), from: Arc::default() })
    }

    /// Makes the log that of a new start, unless a process of an earlier one lives: then `false`.
    ///
    /// Every process of a server, from `initdb` to the last session, has inherited this open file as its standard
    /// error, and with it the kernel's lock on it. No process id tells as much: the first process may be gone, and
    /// others of its server still write into the data.
    pub(super) fn claim(&self) -> Result<bool, PostgresError> {
        match self.file.try_lock() {
            Ok(()) => self.begin().map(|()| true).map_err(PostgresError::io("put aside", &self.path)),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(PostgresError::io("lock", &self.path)(source)),
        }
    }

    fn begin(&self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        self.from.store(length, Ordering::Relaxed);
        if length > LARGE {
            self.copy_aside()?;
            self.empty()?;
        }
        Ok(())
    }

    /// Keeps the log from growing without end, for as long as it is let.
    pub(super) async fn keep_small(self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let log = self.clone();
            if let Err(error) = off_the_runtime(move || log.bound()).await {
                tracing::warn!(%error, path = %self.path.display(), "a large log could not be put aside");
            }
        }
    }

    /// Puts a log aside that has become large. Every process of the server has the file open for appending, so it stays
    /// the same file; what is written between the copy and its end is lost. Where there is no room for a copy the log
    /// goes all the same: it would take what the data need.
    fn bound(&self) -> io::Result<()> {
        if self.file.metadata()?.len() <= LARGE {
            return Ok(());
        }
        let copied = self.copy_aside();
        self.empty()?;
        copied
    }

    fn copy_aside(&self) -> io::Result<()> {
        let aside = self.path.with_extension("log.old");
        // Made anew: whatever has the name, a link even, is not written to.
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        let (mut piece, mut at) = (vec![0; COPIED_AT_ONCE], 0);
        loop {
            let length = self.file.read_at(&mut piece, at)?;
            if length == 0 {
                return Ok(());
            }
            copy.write_all(&piece[..length])?;
            at += length as u64;
        }
    }

    fn empty(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.from.store(0, Ordering::Relaxed);
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
        let mut file: &File = &self.file;
        let end = file.metadata()?.len();
        let from = self.from.load(Ordering::Relaxed);
        file.seek(SeekFrom::Start(from.max(end.saturating_sub(TAIL_BYTES))))?;
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

    #[test]
    fn the_tail_is_the_end_of_what_this_start_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postgres.log");
        fs::write(&path, "of an earlier start\n").unwrap();
        let log = ServerLog::open(&path).unwrap();
        assert!(log.claim().unwrap());
        assert_eq!(log.tail(), "");

        for line in 0..5000 {
            writeln!(&*log.file, "line {line}").unwrap();
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
        writeln!(&*log.file, "FATAL: no").unwrap();

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
    fn a_log_that_grows_is_put_aside_while_others_write_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postgres.log");
        let (elsewhere, aside) = (folder.path().join("elsewhere"), folder.path().join("postgres.log.old"));
        fs::write(&path, "of an earlier start\n").unwrap();
        fs::write(&elsewhere, "not ours").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &aside).unwrap();
        let log = ServerLog::open(&path).unwrap();
        assert!(log.claim().unwrap());
        let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
        let length = usize::try_from(LARGE).unwrap();
        writer.write_all(&vec![b'x'; length]).unwrap();

        log.bound().unwrap();
        writer.write_all(b"\nafter it\n").unwrap();
        log.bound().unwrap();

        assert_eq!(fs::read(&path).unwrap(), b"\nafter it\n", "it goes on in the same file");
        assert_eq!(log.tail(), "\nafter it");
        let copied = fs::read(&aside).unwrap();
        assert!(copied.starts_with(b"of an earlier start\nxx") && copied.len() > length);
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "not ours", "no link is followed");
    }

    #[test]
    fn a_log_is_not_claimed_while_a_child_of_its_last_start_lives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postgres.log");
        let first = ServerLog::open(&path).unwrap();
        assert!(first.claim().unwrap());
        let mut child = std::process::Command::new("/bin/cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(first.for_child().unwrap())
            .spawn()
            .unwrap();
        drop(first);
        let second = ServerLog::open(&path).unwrap();

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
