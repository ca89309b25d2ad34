//! Leases: a process that was frozen for longer changes nothing when it continues.

use std::time::Duration;

use genesys_purge::app::Role;
use genesys_purge::sandbox::{Call, JobDuration, Kind};
use nix::sys::signal::Signal;
use serde_json::json;
use sqlx::AssertSqlSafe;
use tokio::time::Instant;
use uuid::Uuid;

use super::{end_leases, steps, worker};
use crate::support::books::{assert_books, eventually};
use crate::support::process::Serving;
use crate::support::trouble::endings;
use crate::support::{Setup, TestService};

/// Where a worker freezes, and which of its steps that is.
const FREEZES: &[(&str, &str)] = &[
    ("claim_slices:frozen_after", "validate"),
    ("pack:frozen_after", "pack"),
    ("intend:frozen_after", "submit"),
    ("claim_poll:frozen_after", "poll"),
    ("poll:frozen_after", "poll"),
    ("claim_look:frozen_after", "look"),
    ("facts:frozen_after", "validate"),
];

/// A permit is void after a second: a call that waits for longer is not made.
const PERMIT_LIFE: Duration = Duration::from_secs(1);

/// Everything that a worker may change.
async fn everything(test: &TestService) -> Vec<String> {
    let mut connection = test.database.connect().await;
    let mut all = Vec::new();
    for table in
        ["purges", "slices", "jobs", "job_parts", "decisions", "events", "deliveries", "reservations"]
    {
        let rows = format!("select '{table} ' || t::text from {table} t order by 1");
        all.extend(
            sqlx::query_scalar::<_, String>(AssertSqlSafe(rows)).fetch_all(&mut connection).await.unwrap(),
        );
    }
    all
}

/// The work has ended, told of and all.
async fn is_over(test: &TestService, purge: Uuid) {
    test.finished(purge).await;
    for left in [
        "select count(*) from jobs where state <> 'done'",
        "select count(*) from deliveries where state = 'pending'",
    ] {
        eventually(left, async || test.number(left).await == 0).await;
    }
}

/// A worker that is told to freeze somewhere.
async fn doomed(test: &TestService, point: &str) -> Serving {
    let mut command = test.serve(&["--role", "worker"]);
    command.env("PURGE_CRASH_AT", point);
    Serving::start(command).await
}

/// Only requests: the workers are processes of their own.
fn without_worker() -> Setup {
    Setup::new().role(Role::Api).env("PURGE__ENGINE__MAX_ATTEMPTS", "1")
}

#[tokio::test]
async fn a_worker_that_was_frozen_for_longer_than_its_lease_changes_nothing_when_it_wakes() {
    for (point, step) in FREEZES {
        let test = without_worker().start().await;
        let frozen = doomed(&test, point).await;
        let ids = &test.ids_of(Kind::Eligible)[..5];
        let purge = test.purge(ids).await;
        eventually("it freezes", async || frozen.is_frozen()).await;
        let since = Instant::now();
        end_leases(&test).await;
        let other = worker(&test).await;
        is_over(&test, purge).await;
        assert_eq!(test.endings(purge).await, endings([("purged gone", 5)]), "{point}");
        let before = everything(&test).await;
        tokio::time::sleep_until(since + PERMIT_LIFE).await;

        frozen.send(Signal::SIGCONT);
        eventually("it has done what it was at", async || steps(&test, &frozen, step).await > 0).await;
        assert_eq!(everything(&test).await, before, "{point}");
        assert_eq!(test.calls(Call::Submit, "202") + test.calls(Call::Submit, "200"), 1, "{point}");
        test.assert_purged_once(ids);
        assert_books(&test).await;
        assert_eq!(frozen.end(Signal::SIGTERM).await, Some(0), "{point}");
        assert_eq!(other.end(Signal::SIGTERM).await, Some(0), "{point}");
        test.end().await;
    }
}

#[tokio::test]
async fn a_submit_on_the_way_of_a_worker_that_froze_is_one_without_an_answer() {
    let test = without_worker().start().await;
    test.fault(json!({ "call": "submit", "times": 1, "when": "after", "fault": { "delayMs": 500 } }));
    let ids = &test.ids_of(Kind::Eligible)[..5];
    let frozen = worker(&test).await;
    let purge = test.purge(ids).await;
    test.wait_until("upstream has it", async || test.sandbox.sandbox().truth().deleted == 5).await;
    frozen.send(Signal::SIGSTOP);
    end_leases(&test).await;
    assert_eq!(test.number("select count(*) from jobs where state = 'in_doubt'").await, 1);
    let other = worker(&test).await;
    is_over(&test, purge).await;
    assert_eq!(test.endings(purge).await, endings([("purged gone_after_lost_submit", 5)]));
    let before = everything(&test).await;
    // The answer waits for it in its socket.
    frozen.send(Signal::SIGCONT);
    frozen.logged(|line| line["message"] == "a step took longer than its lease; its result is dropped").await;
    assert_eq!(everything(&test).await, before);
    assert_eq!(test.log(Call::Submit).len(), 1);
    assert_books(&test).await;
    for process in [frozen, other] {
        assert_eq!(process.end(Signal::SIGTERM).await, Some(0));
    }
}

#[tokio::test]
async fn what_a_worker_holds_open_when_it_freezes_is_free_again_and_its_answer_counts_no_more() {
    // It has its answer, and freezes within the transaction that records it.
    let test = without_worker().start().await;
    let frozen = doomed(&test, "record_accepted:frozen_before").await;
    let ids = &test.ids_of(Kind::Eligible)[..5];
    let purge = test.purge(ids).await;
    eventually("it freezes", async || frozen.is_frozen()).await;
    // The server ends its session, and with it the lock of the job.
    end_leases(&test).await;
    let other = worker(&test).await;
    is_over(&test, purge).await;
    assert_eq!(test.endings(purge).await, endings([("purged gone_after_lost_submit", 5)]));
    let before = everything(&test).await;
    frozen.send(Signal::SIGCONT);
    frozen.logged(|line| line["message"] == "a step took longer than its lease; its result is dropped").await;
    assert_eq!(everything(&test).await, before);
    assert_eq!(test.log(Call::Submit).len(), 1);
    for process in [frozen, other] {
        assert_eq!(process.end(Signal::SIGTERM).await, Some(0));
    }
}

#[tokio::test]
async fn a_webhook_of_a_worker_that_froze_is_sent_by_another_and_recorded_once() {
    let test = without_worker().start().await;
    let frozen = doomed(&test, "deliver:frozen_after").await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..5]).await;
    eventually("it freezes", async || frozen.is_frozen()).await;
    end_leases(&test).await;
    let other = worker(&test).await;
    is_over(&test, purge).await;
    let before = everything(&test).await;
    frozen.send(Signal::SIGCONT);
    frozen
        .logged(|line| line["message"] == "webhook attempts took longer than their lease; they are repeated")
        .await;
    assert_eq!(everything(&test).await, before);
    for process in [frozen, other] {
        assert_eq!(process.end(Signal::SIGTERM).await, Some(0));
    }
}

#[tokio::test]
async fn a_worker_that_returns_under_the_same_name_gets_no_old_lease_back() {
    let setup = without_worker()
        .sandbox(|settings| settings.job_duration = JobDuration { base_ms: 50, jitter_ms: 0 });
    let test = setup.start().await;
    test.fault(json!({ "call": "submit", "times": 1, "when": "after", "fault": { "delayMs": 5000 } }));
    let ids = test.ids_of(Kind::Eligible);
    let first = worker(&test).await;
    let purge = test.purge(&ids[..5]).await;
    test.wait_until("upstream has it", async || test.sandbox.sandbox().truth().deleted == 5).await;
    assert_eq!(first.end(Signal::SIGKILL).await, None);
    let lease = "select id || ' ' || epoch || ' ' || lease_until from jobs where state = 'submitting'";
    let lease = async || {
        sqlx::query_scalar::<_, String>(lease).fetch_all(&mut test.database.connect().await).await.unwrap()
    };
    let before = lease().await;
    assert_eq!(before.len(), 1);
    let second = worker(&test).await;
    let other = test.purge(&ids[5..10]).await;
    assert_eq!(test.finished(other).await["counts"]["purged"], 5, "it works");
    assert_eq!(lease().await, before, "on that job it does not");
    end_leases(&test).await;
    test.finished(purge).await;
    assert_eq!(test.endings(purge).await, endings([("purged gone_after_lost_submit", 5)]));
    assert_eq!(test.log(Call::Submit).len(), 2);
    assert_eq!(second.end(Signal::SIGTERM).await, Some(0));
}
