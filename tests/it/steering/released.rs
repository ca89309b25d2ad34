//! Conversations that wait for an id of another purge's job: woken after the job has released it, a few slices per
//! transaction.

use genesys_purge::domain::act::Act;
use genesys_purge::domain::facts::Presence;
use genesys_purge::store::jobs::pack::Packed;
use genesys_purge::store::slices::claim::Reach;
use uuid::Uuid;

use super::races::Lane;
use super::sweeping::{counts, end_job, ids, lane, steer, sweep};
use crate::support::TestService;
use crate::support::books::assert_books;

/// More than are woken at once.
const MANY: usize = 60;

const WAITING: &str = "select count(*) from waiters";
const RELEASED: &str = "select count(*) from released";
const WOKEN: &str = "select count(*) from decisions where step = 'wake' and code = 'facts_stale'";

/// A job of two conversations that runs, and many purges that wait for one of them.
async fn many_wait(test: &TestService, lane: &Lane) -> Vec<Uuid> {
    let both = ids(1..3);
    lane.submitted(&both).await;
    let mut purges = Vec::new();
    for _ in 0..MANY {
        purges.push(lane.accepted(&both[..1]).await);
    }
    lane.answer_all(Reach::FirstAndDryRuns, Presence::Present).await;
    assert_eq!(lane.engine.pack(&lane.org).await.unwrap(), Packed::Waiting);
    assert_eq!(test.number(WAITING).await, 60);
    purges
}

/// The job that has what they wait for ends.
async fn let_go(test: &TestService, lane: &Lane, ids: &[Uuid]) {
    end_job(test, lane).await;
    lane.look(ids, Presence::Gone).await;
}

#[tokio::test]
async fn a_job_lets_an_id_go_without_touching_who_waits_for_it() {
    let (test, lane) = lane().await;
    let purges = many_wait(&test, &lane).await;
    let_go(&test, &lane, &ids(1..3)).await;
    assert_eq!(test.number(WOKEN).await, 0, "nobody is woken by the job's own transaction");
    assert_eq!((test.number(WAITING).await, test.number(RELEASED).await), (60, 1));

    assert!(sweep(&lane).await);
    let woken = test.number(WOKEN).await;
    assert!((1..60).contains(&woken), "{woken} at once");
    assert_eq!(test.number(WAITING).await, 60 - woken);
    while sweep(&lane).await {}
    assert_eq!((test.number(WAITING).await, test.number(RELEASED).await), (0, 0));
    for purge in &purges {
        assert_eq!(counts(&test, *purge).await["pending"], 1);
    }

    lane.answer_all(Reach::ForSlots, Presence::Gone).await;
    for purge in purges {
        assert_eq!(counts(&test, purge).await["already_purged"], 1);
    }
    assert_books(&test).await;
}

#[tokio::test]
async fn who_was_not_woken_yet_waits_for_the_next_job_that_takes_the_id() {
    let (test, lane) = lane().await;
    many_wait(&test, &lane).await;
    let_go(&test, &lane, &ids(1..3)).await;
    assert!(sweep(&lane).await);
    let left = test.number(WAITING).await;
    assert!((1..60).contains(&left), "{left} are left");
    // As if its deletion had not shown.
    test.sql("delete from findings").await;
    lane.answer_all(Reach::ForSlots, Presence::Present).await;
    assert_eq!(lane.engine.pack(&lane.org).await.unwrap(), Packed::Job(1));
    assert_eq!((test.number(WAITING).await, test.number(RELEASED).await), (59, 0));
    assert!(!sweep(&lane).await, "they wait for a job that has the id");

    lane.submit().await;
    let_go(&test, &lane, &ids(1..2)).await;
    while sweep(&lane).await {}
    assert_eq!((test.number(WAITING).await, test.number(RELEASED).await), (0, 0));
    lane.answer_all(Reach::ForSlots, Presence::Gone).await;
    assert_books(&test).await;
}

#[tokio::test]
async fn nobody_is_woken_whose_purge_was_canceled_meanwhile() {
    let (test, lane) = lane().await;
    let purges = many_wait(&test, &lane).await;
    let_go(&test, &lane, &ids(1..3)).await;
    for purge in &purges {
        steer(&lane, *purge, Act::Cancel).await;
    }
    let mut swept = 0;
    while sweep(&lane).await {
        swept += 1;
    }
    assert!(swept < 20, "{swept} sweeps");
    for purge in purges {
        assert_eq!(test.get(&format!("/purges/{purge}")).await["state"], "canceled");
    }
    assert_books(&test).await;
}
