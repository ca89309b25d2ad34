//! A spool folder of one test, and what is open in it: uploads are spooled to files without a name, which only the
//! process' own list of open files (`/proc/self/fd`) shows.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

/// The folder.
pub struct SpoolDir(TempDir);

impl SpoolDir {
    /// A fresh one.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Its path, as a setting.
    pub fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// Everything in it, files without a name included.
    pub fn files(&self) -> Vec<String> {
        let named = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path());
        let open = fs::read_dir("/proc/self/fd").unwrap();
        let open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let open = open.filter(|path| path.starts_with(self.0.path()));
        named.chain(open).map(|path| path.display().to_string()).collect()
    }

    /// Waits until there are some files, or none.
    pub async fn until(&self, has_files: bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.files().is_empty() == has_files {
            assert!(Instant::now() < deadline, "expected files: {has_files}; there are {:?}", self.files());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
