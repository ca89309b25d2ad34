//! The service dies on each side of each durable effect, in turn: a real process is started to die there, gets work of
//! every kind, and dies; the next one continues. In the end every purge is final, nothing is lost, deleted twice or
//! deleted in spite of a hold, and outcomes, decisions and counts agree.
//!
//! What died after an effect does not know of it: the next process makes it once more.

mod points;
mod poison;
mod process;
mod work;

use genesys_purge::sandbox::{JobDuration, Kind};

use crate::support::books::{all_final, assert_books};
use crate::support::{Setup, TestService};
use points::{POINTS, Point};
use process::Mortal;
use work::Work;

/// Every other point, from the first or the second.
async fn die_at(points: impl Iterator<Item = Point>) {
    let setup = Setup::new()
        .sandbox(|settings| {
            settings.conversations = 6000;
            settings.job_duration = JobDuration { base_ms: 100, jitter_ms: 50 };
        })
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "20");
    let mut work = Work::begin(setup.start().await).await;
    for point in points {
        work.die_at(point).await;
    }
    let test = work.end().await;
    all_final(&test).await;
    assert_books(&test).await;
    test.assert_no_breach();
}

#[tokio::test]
async fn whatever_it_dies_of_between_two_effects_nothing_is_lost_and_nothing_done_twice() {
    die_at(POINTS.iter().copied().step_by(2)).await;
}

#[tokio::test]
async fn nor_where_it_dies_at_any_other_of_them() {
    die_at(POINTS.iter().copied().skip(1).step_by(2)).await;
}

/// What panics in the dispatcher or in a step harms nothing else, and is done again: at once, or when the lease has run out.
#[tokio::test]
async fn what_panics_is_done_again() {
    let mut test = TestService::start().await;
    test.stop_service().await;
    for (number, effect) in
        ["claim_slices", "pack", "intend", "claim_poll", "claim_look"].into_iter().enumerate()
    {
        let mortal = Mortal::start(&test, Some(&format!("{effect}:panic"))).await;
        test.url = mortal.url.clone().unwrap();
        let ids = &test.ids_of(KIND)[number * 4..][..4];
        let canceled = test.purge(&ids[..1]).await;
        let (status, body) = test.post(&format!("/purges/{canceled}/cancel"), &serde_json::json!({})).await;
        assert!(status.is_success() || status == reqwest::StatusCode::CONFLICT, "{body}");
        let purge = test.purge(&ids[1..]).await;
        assert_eq!(test.finished(purge).await["counts"]["purged"], 3, "{effect}");
        test.finished(canceled).await;
        let told = test.request(reqwest::Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        let counted =
            told.lines().any(|line| line.contains("result=\"panicked\"") && line.contains("_count"));
        assert!(counted, "{effect}: {told}");
    }
    assert_books(&test).await;
    test.assert_no_breach();
}

/// Eligible conversations of which a round takes the next.
const KIND: Kind = Kind::Eligible;
