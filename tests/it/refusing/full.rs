//! A disk that is full.

use uuid::Uuid;

use super::Desk;
use crate::support::Setup;
use crate::support::disk::{SmallDisk, may_mount};
use crate::support::problem::refused;

#[tokio::test]
async fn an_upload_that_fills_the_disk_is_refused_and_gives_the_room_back() {
    let desk = Desk::with(Setup::new()).await;
    if !may_mount() {
        // It takes root to make a disk small; elsewhere src/intake's own tests have to do.
        return;
    }
    let disk = SmallDisk::over(desk.spool.path(), "64k");
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
