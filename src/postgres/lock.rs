//! One process at a time runs the server of a data directory.
//!
//! Invariant: the lock is the kernel's, so it ends with the process that holds it; the contents of the file are only
//! for messages and for the clean-up after a crash.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::error::PostgresError;

/// The right to run the server of one data directory.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    file: File,
    path: PathBuf,
}

impl DirectoryLock {
    /// Takes the lock, or says which process holds it.
    pub(super) fn take(path: PathBuf, data_dir: &Path) -> Result<DirectoryLock, PostgresError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(PostgresError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(DirectoryLock { file, path }),
            Err(TryLockError::WouldBlock) => {
                let (holder, _) = read(&mut file).map_err(PostgresError::io("read", &path))?;
                Err(PostgresError::Held { data_dir: data_dir.to_owned(), holder })
            }
            Err(TryLockError::Error(source)) => Err(PostgresError::io("lock", &path)(source)),
        }
    }

    /// The run directory that the holder before us wrote down.
    pub(super) fn run_directory_before_us(&mut self) -> Result<Option<PathBuf>, PostgresError> {
        let (_, run_directory) = read(&mut self.file).map_err(PostgresError::io("read", &self.path))?;
        Ok(run_directory)
    }

    /// Writes down who we are and which run directory is ours.
    pub(super) fn sign(&mut self, run_directory: &Path) -> Result<(), PostgresError> {
        let mut text = format!("{}\n", std::process::id()).into_bytes();
        text.extend_from_slice(run_directory.as_os_str().as_bytes());
        text.push(b'\n');
        self.replace(&text).map_err(PostgresError::io("write", &self.path))
    }

    fn replace(&mut self, text: &[u8]) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(text)
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child that this process forks at this very moment still has a copy of
        // the descriptor, and with it the lock, until it executes its program.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, path = %self.path.display(), "could not release the lock");
        }
    }
}

fn read(file: &mut File) -> std::io::Result<(Option<i32>, Option<PathBuf>)> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut text)?;
    let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let holder = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.parse().ok());
    let run_directory = lines.next().map(|line| PathBuf::from(OsString::from_vec(line.to_vec())));
    Ok((holder, run_directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_learns_who_holds_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut first = DirectoryLock::take(path.clone(), folder.path()).unwrap();
        first.sign(Path::new("/tmp/run")).unwrap();

        let refused = DirectoryLock::take(path.clone(), folder.path()).unwrap_err();

        let us = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(refused, PostgresError::Held { holder: Some(pid), .. } if pid == us));
        drop(first);
        let mut second = DirectoryLock::take(path, folder.path()).unwrap();
        assert_eq!(second.run_directory_before_us().unwrap(), Some(PathBuf::from("/tmp/run")));
    }

    #[test]
    fn a_lock_that_nobody_signed_names_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut first = DirectoryLock::take(path.clone(), folder.path()).unwrap();
        assert_eq!(first.run_directory_before_us().unwrap(), None);

        let refused = DirectoryLock::take(path, folder.path()).unwrap_err();

        assert!(matches!(refused, PostgresError::Held { holder: None, .. }));
    }
}
