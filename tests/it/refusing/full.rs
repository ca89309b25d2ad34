//! A disk that is full.

use std::process::Command;

use uuid::Uuid;

use super::Desk;
use crate::support::Setup;
use crate::support::problem::refused;

/// A disk of 64 KiB over a folder, until this is dropped.
struct SmallDisk(String);

impl SmallDisk {
    /// `None` where this process may not mount anything.
    fn over(folder: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        let done = mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]).output().ok()?;
        done.status.success().then(|| Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy", &self.0]).status();
    }
}

#[tokio::test]
async fn an_upload_that_fills_the_disk_is_refused_and_gives_the_room_back() {
    let desk = Desk::with(Setup::new()).await;
    // It takes root to make a disk small; elsewhere src/intake's own tests have to do.
    let Some(disk) = SmallDisk::over(desk.spool.path()) else { return };
    let ids: Vec<String> = (0..20_000).map(|number| Uuid::from_u128(number).to_string()).collect();
    let (plain, quoted) = (
        ids.join(
            "
",
        ),
        format!(
            "\"{}\"",
            ids.join(
                "\"
\""
            )
        ),
    );
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
