//! Looks of small jobs share calls: each job is settled by itself, by the answers about its own conversations.

use genesys_purge::sandbox::{Call, Kind};
use serde_json::json;
use uuid::Uuid;

use crate::support::trouble::strikes;
use crate::support::{Setup, TestService};

/// Five purges of four conversations, each in a job of its own that upstream has ended, and nobody has looked yet.
async fn five_ended(details_batch: &str) -> (TestService, Vec<Uuid>) {
    let setup = Setup::new()
        .env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false")
        .env("PURGE__ORGS__DEFAULT__DETAILS_BATCH", details_batch)
        .env("PURGE__ENGINE__POLL_INITIAL", "60s");
    let test = setup.start().await;
    let ids = &test.ids_of(Kind::Eligible)[..20];
    let mut purges = Vec::new();
    for ids in ids.chunks(4) {
        purges.push(test.purge(ids).await);
    }
    test.wait_until("all jobs have deleted", async || {
        let is_deleted = |id| test.sandbox.sandbox().conversation(id).unwrap().deleted_at.is_some();
        ids.iter().all(|id| is_deleted(*id))
    })
    .await;
    let submitted = "select count(*) from jobs where state = 'submitted'";
    test.wait_until("all answers are recorded", async || test.number(submitted).await == 5).await;
    (test, purges)
}

/// From now on a look at each of them is due.
async fn look(test: &TestService) {
    test.sql(
        "update jobs
         set state = 'verifying', ended_at = clock_timestamp(), run_at = clock_timestamp() - blind * interval '1 second',
             upstream_succeeded = true, upstream_state = 'completed'
         where state = 'submitted'",
    )
    .await;
    test.sql("select pg_notify('genesys_purge_work', 'default')").await;
}

/// How many conversations each details call was about, but for the first so many calls.
fn sizes(test: &TestService, after: usize) -> Vec<usize> {
    test.log(Call::Details).iter().skip(after).map(|entry| entry.ids).collect()
}

async fn all_purged(test: &TestService, purges: &[Uuid]) {
    for purge in purges {
        let body = test.finished(*purge).await;
        assert_eq!((&body["state"], &body["counts"]["purged"]), (&json!("completed"), &json!(4)), "{body}");
    }
    assert_eq!(test.number("select count(*) from reservations").await, 0);
}

#[tokio::test]
async fn jobs_that_are_due_at_the_same_time_share_a_call() {
    let (test, purges) = five_ended("500").await;
    let before = test.log(Call::Details).len();
    look(&test).await;
    all_purged(&test, &purges).await;
    assert_eq!(sizes(&test, before), [20]);
}

#[tokio::test]
async fn a_job_that_can_not_be_recorded_stops_no_other() {
    let (test, purges) = five_ended("500").await;
    let before = test.log(Call::Details).len();
    test.fault(strikes("details", 1, &json!({ "delayMs": 1000 })));
    look(&test).await;
    let claimed = "select count(*) from jobs where state = 'verifying' and lease_until is not null";
    test.wait_until("the looks are claimed", async || test.number(claimed).await == 5).await;
    // Somebody else has claimed the first of them since.
    test.sql(
        "update jobs set epoch = epoch + 1, lease_until = null
         where id = (select id from jobs where state = 'verifying' order by run_at, id limit 1)",
    )
    .await;
    all_purged(&test, &purges).await;
    assert_eq!(sizes(&test, before), [20, 4]);
}

#[tokio::test]
async fn an_answer_that_is_not_whole_counts_for_what_it_contains_and_the_rest_is_asked_again() {
    let (test, purges) = five_ended("500").await;
    let before = test.log(Call::Details).len();
    test.fault(strikes("details", 1, &json!({ "garbage": "incomplete" })));
    look(&test).await;
    all_purged(&test, &purges).await;
    assert_eq!(sizes(&test, before), [20, 10]);
}

#[tokio::test]
async fn jobs_that_were_told_nothing_are_asked_about_alone() {
    let (test, purges) = five_ended("500").await;
    let before = test.log(Call::Details).len();
    // The call, and the second try within the same question.
    test.fault(strikes("details", 2, &json!({ "status": 500 })));
    look(&test).await;
    all_purged(&test, &purges).await;
    let sizes = sizes(&test, before);
    let (unread, asked) = sizes.split_at(2);
    assert_eq!(unread, [0, 0], "upstream has not even read them");
    assert_eq!(asked, [2; 10], "half of one job each");
}

#[tokio::test]
async fn a_job_that_was_told_nothing_makes_no_other_ones_call_fail() {
    let (test, purges) = five_ended("500").await;
    let before = test.log(Call::Details).len();
    test.sql("update jobs set blind = 1 where id = (select id from jobs where state = 'submitted' order by id limit 1)")
        .await;
    look(&test).await;
    all_purged(&test, &purges).await;
    let mut sizes = sizes(&test, before);
    sizes.sort_unstable();
    assert_eq!(sizes, [2, 2, 16]);
}

#[tokio::test]
async fn a_call_carries_no_more_than_it_may() {
    let (test, purges) = five_ended("10").await;
    let before = test.log(Call::Details).len();
    look(&test).await;
    all_purged(&test, &purges).await;
    let mut sizes = sizes(&test, before);
    sizes.sort_unstable();
    assert_eq!(sizes, [4, 8, 8]);
}
