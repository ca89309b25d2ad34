//! The search for offenders, driven by hand: which piece goes when, and by which answer.

use std::time::Duration;

use genesys_purge::app::Role;
use genesys_purge::domain::facts::Presence;
use genesys_purge::store::jobs::JobLease;
use genesys_purge::store::jobs::intend::{Intended, Intent};
use genesys_purge::store::jobs::pack::Packed;
use genesys_purge::store::jobs::polled::Polled;
use genesys_purge::store::jobs::submitted::{Accepted, Refusal};
use serde_json::json;
use uuid::Uuid;

use crate::steering::races::{Lane, Rival, own_time};
use crate::support::{Setup, TestService};

/// An org whose jobs carry so many, and nobody who works for it.
async fn lane(max_batch: usize) -> (TestService, Lane) {
    let test = Setup::new().role(Role::Api).start().await;
    let mut lane = Lane::open(&test, Rival::Hold).await;
    lane.org.max_batch = max_batch;
    (test, lane)
}

fn ids(range: std::ops::Range<u128>) -> Vec<Uuid> {
    range.map(Uuid::from_u128).collect()
}

/// What is submitted next, if anything may be.
async fn next(lane: &Lane) -> Option<Intent> {
    loop {
        match lane.engine.intend(&lane.org, &lane.terms, own_time()).await.unwrap() {
            Intended::Intent(intent) => return Some(intent),
            Intended::Changed => {}
            Intended::Nothing => return None,
            Intended::NoPermit => panic!("calls have no limit here"),
        }
    }
}

/// What is submitted next must be these.
async fn next_is(lane: &Lane, expected: &[Uuid]) -> JobLease {
    let intent = next(lane).await.expect("something goes");
    assert_eq!(intent.ids, expected);
    intent.lease
}

async fn conflicts(lane: &Lane, lease: JobLease) {
    let refusal = Refusal::UnnamedConflict;
    lane.engine.record_refused(&lane.org.name, lease, &refusal, &json!({})).await.unwrap();
}

async fn goes_through(lane: &Lane, lease: JobLease) {
    let accepted = Accepted {
        upstream_job_id: lease.job.to_string(),
        body_sha256: [0; 32],
        first_poll: Duration::from_hours(1),
        expected: None,
    };
    assert!(lane.engine.record_accepted(&lane.org.name, lease, &accepted).await.unwrap());
}

/// A purge of these conversations whose only job conflicts, also after it was looked at afresh: its search has begun.
async fn searched(lane: &Lane, ids: &[Uuid]) {
    lane.eligible(ids).await;
    assert_eq!(lane.engine.pack(&lane.org).await.unwrap(), Packed::Job(ids.len()));
    let lease = next_is(lane, ids).await;
    conflicts(lane, lease).await;
    lane.look(ids, Presence::Present).await;
    let lease = next_is(lane, ids).await;
    conflicts(lane, lease).await;
}

/// Every id that is open is in one unfinished job, in what it says that it carries and in its parts.
async fn assert_carried_once(test: &TestService, expected: i64) {
    let reserved = "select count(*) from reservations r join jobs j on j.id = r.job_id and j.state <> 'done'
                    where r.conversation_id = any(j.ids)";
    let named = "select coalesce(sum(cardinality(ids)), 0)::bigint from jobs where state <> 'done'";
    let parts = "select coalesce(sum(cardinality(positions)), 0)::bigint from job_parts p
                 join jobs j on j.id = p.job_id and j.state <> 'done'";
    for count in [reserved, named, parts] {
        assert_eq!(test.number(count).await, expected, "{count}");
    }
}

#[tokio::test]
async fn a_rest_waits_for_the_first_half_and_goes_on_by_its_answer() {
    let (test, lane) = lane(500).await;
    let ids = ids(1..9);
    searched(&lane, &ids).await;
    let first = next_is(&lane, &ids[..4]).await;
    assert!(next(&lane).await.is_none(), "the rest waits for the answer");

    goes_through(&lane, first).await;
    let known = next_is(&lane, &ids[4..6]).await;
    assert!(next(&lane).await.is_none(), "the rest of the rest waits, too");
    conflicts(&lane, known).await;
    let alone = next_is(&lane, &ids[4..5]).await;
    conflicts(&lane, alone).await;
    assert_eq!(test.number("select on_hold from purges").await, 1);
    assert_carried_once(&test, 7).await;

    next_is(&lane, &ids[5..]).await;
    assert!(next(&lane).await.is_none(), "all that was unknown goes together");
    assert_carried_once(&test, 7).await;
    test.end().await;
}

#[tokio::test]
async fn what_is_known_to_conflict_is_judged_by_a_submit_alone_all_the_same() {
    let (test, lane) = lane(500).await;
    let ids = ids(1..3);
    searched(&lane, &ids).await;
    let first = next_is(&lane, &ids[..1]).await;
    goes_through(&lane, first).await;
    let second = next_is(&lane, &ids[1..]).await;
    assert_eq!(test.number("select on_hold from purges").await, 0);
    goes_through(&lane, second).await;
    assert_eq!(test.number("select on_hold from purges").await, 0, "upstream has changed its mind");
    test.end().await;
}

#[tokio::test]
async fn the_unknown_goes_in_pieces_by_the_share_of_offenders() {
    let (test, lane) = lane(500).await;
    let ids = ids(0..16);
    searched(&lane, &ids).await;
    for size in [8, 4, 2, 1] {
        let piece = next_is(&lane, &ids[..size]).await;
        conflicts(&lane, piece).await;
    }
    // One of one that was answered: pieces of two.
    let piece = next_is(&lane, &ids[8..10]).await;
    assert!(next(&lane).await.is_none(), "one piece at a time");
    goes_through(&lane, piece).await;
    // One of three: pieces of six.
    next_is(&lane, &ids[2..8]).await;
    assert_carried_once(&test, 15).await;
    test.end().await;
}

#[tokio::test]
async fn what_several_searches_leave_unknown_goes_together_unless_purges_are_kept_apart() {
    for mixes_purges in [true, false] {
        let (test, mut lane) = lane(4).await;
        lane.org.mixes_purges = mixes_purges;
        lane.terms.ambiguity_grace = Duration::from_hours(1);
        let (one, other) = (ids(0..4), ids(4..8));
        let mut first_halves = Vec::new();
        for ids in [&one, &other] {
            searched(&lane, ids).await;
            first_halves.push(next_is(&lane, &ids[..2]).await);
        }
        // What is lost says nothing of the rest.
        for first in first_halves {
            let (org, nothing) = (&lane.org.name, json!({}));
            lane.engine.record_lost(org, first, [0; 32], &nothing, &lane.terms).await.unwrap();
        }
        if mixes_purges {
            next_is(&lane, &[one[2], one[3], other[2], other[3]]).await;
        } else {
            next_is(&lane, &one[2..]).await;
            next_is(&lane, &other[2..]).await;
        }
        assert!(next(&lane).await.is_none());
        assert_carried_once(&test, 8).await;
        assert_eq!(
            test.number("select count(*) from jobs where result = 'withdrawn'").await,
            i64::from(mixes_purges),
            "a job that gave all that it carried is over"
        );
        test.end().await;
    }
}

#[tokio::test]
async fn looks_at_pieces_that_end_about_the_same_time_meet() {
    let (test, lane) = lane(500).await;
    let ids = ids(0..5);
    lane.submitted(&ids[..2]).await;
    searched(&lane, &ids[2..]).await;
    let piece = next_is(&lane, &ids[2..4]).await;
    goes_through(&lane, piece).await;
    lane.due(&test).await;
    for _ in 0..2 {
        let state = "COMPLETED".to_owned();
        lane.poll(Polled::Ended { is_completed: true, state, records_processed: None }).await;
    }
    // The finest grid, whose points all others share.
    let off_the_grid = "floor(extract(epoch from run_at) * 1000)::bigint % 64 > 0";
    let looks = "select count(*) from jobs where state = 'verifying' and run_at";
    assert_eq!(test.number(&format!("{looks} = ended_at and search is null")).await, 1, "at once");
    assert_eq!(test.number(&format!("{looks} > ended_at and search is not null")).await, 1);
    assert_eq!(test.number(&format!("{looks} > ended_at and {off_the_grid}")).await, 0);
    test.end().await;
}

#[tokio::test]
async fn a_first_half_that_can_not_go_holds_up_its_rest_for_a_while_only() {
    let (test, lane) = lane(500).await;
    let ids = ids(0..4);
    searched(&lane, &ids).await;
    let put_off = "update jobs set run_at = now() + interval '1 hour', tries = least(tries + $, 1000)
                   where state = 'waiting' and after is null";
    test.sql(&put_off.replace('$', "9")).await;
    assert!(next(&lane).await.is_none());
    test.sql(&put_off.replace('$', "1")).await;
    next_is(&lane, &ids[2..]).await;
    test.end().await;
}
