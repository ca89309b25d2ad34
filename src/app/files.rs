//! How many files this process may have open: its connections, its spools and its database are all files.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// As many as are ever of use, with room to spare: 1024 connections, 256 uploads, and what the service itself needs.
const WANTED: u64 = 16_384;
/// With fewer, callers can take the files that the service itself needs.
const ENOUGH: u64 = 2_048;

/// Raises the limit as far as it is wanted and allowed; systems give programs few unless they ask.
pub fn raise_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = soft.max(hard.min(WANTED));
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).map(|()| wanted)
    });
    match raised {
        Ok(limit) if limit >= ENOUGH => {}
        Ok(limit) => tracing::warn!(
            limit,
            "the limit of open files is low: many callers at once can stop the service; raise it (LimitNOFILE, ulimit -n)"
        ),
        Err(error) => tracing::warn!(%error, "the limit of open files can't be raised"),
    }
}
