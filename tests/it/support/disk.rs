//! Disks that are small enough to be filled.

use std::process::Command;

/// A small disk over a folder, until this is dropped.
pub struct SmallDisk(String);

impl SmallDisk {
    /// Of a size that mount understands.
    pub fn over(folder: &str, size: &str) -> Self {
        let mut mount = Command::new("mount");
        let done =
            mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", folder]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Self(folder.to_owned())
    }
}

/// Whether this process may mount something: it has `CAP_SYS_ADMIN`, as root has where nobody took it away.
pub fn may_mount() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(capabilities.trim(), 16).unwrap() & (1 << 21) != 0
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy", &self.0]).status();
    }
}
