//! A disk that is full.

use std::process::Command;

use uuid::Uuid;

use super::Desk;
use crate::support::Setup;
use crate::support::problem::refused;

/// A disk of 64 KiB over a folder, until this is dropped.
struct SmallDisk(String);

impl SmallDisk {
    fn over(folder: &str) -> Self {
        let mut mount = Command::new("mount");
        let done = mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Self(folder.to_owned())
    }
}

/// Whether this process may mount something: it has `CAP_SYS_ADMIN`, as root has where nobody took it away.
fn may_mount() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(capabilities.trim(), 16).unwrap() & (1 << 21) != 0
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy", &self.0]).status();
    }
}

#[tokio::test]
async fn an_upload_that_fills_the_disk_is_refused_and_gives_the_room_back() {
    let desk = Desk::with(Setup::new()).await;
    if !may_mount() {
        // It takes root to make a disk small; elsewhere src/intake's own tests have to do.
        return;
    }
    let disk = SmallDisk::over(desk.spool.path());
    let ids: Vec<String> = (0..20_000).map(|number| Uuid::from_u128(number).to_string()).collect();
    let (plain, quoted) = (ids.join("\n"), format!("\"{}\"", ids.join("\"\n\"")));
    for _ in 0..3 {
        for (media_type, body) in [("text/csv", &plain), ("application/x-ndjson", &quoted)] {
            let problem = refused(desk.test.upload(media_type, "", body.clone()), 507, "spool_full").await;
            assert!(problem["detail"].as_str().unwrap().contains("intake.spool_dir"), "{problem}");
        }
    }
    desk.assert_left_nothing().await;
    let few = format!("{}\n", Uuid::nil());
    assert_eq!(desk.test.upload("text/csv", "", few).send().await.unwrap().status(), 202, "the room is free");
    drop(disk);
}
