//! Protects secrets in memory: no core files of this process or of the database that it starts, and no other process
//! of the same user can read its memory.

use nix::sys::resource::{Resource, setrlimit};

/// Keeps it so from now on.
pub fn keep_private() {
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0).and_then(|()| deny_others()) {
        tracing::warn!(%error, "other processes may be able to read the memory of this one");
    }
}

#[cfg(target_os = "linux")]
fn deny_others() -> nix::Result<()> {
    nix::sys::prctl::set_dumpable(false)
}

#[cfg(not(target_os = "linux"))]
fn deny_others() -> nix::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use nix::sys::prctl::{get_dumpable, set_dumpable};
    use nix::sys::resource::getrlimit;

    use super::*;

    #[test]
    fn a_private_process_leaves_no_core_file_and_lets_nobody_in() {
        set_dumpable(true).unwrap();
        keep_private();
        assert!(!get_dumpable().unwrap());
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
    }
}
