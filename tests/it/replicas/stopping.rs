//! A graceful stop: nothing waits for a lease to expire, and a second signal ends the process at once.

use std::time::Duration;

use genesys_purge::app::Role;
use genesys_purge::sandbox::{Call, JobDuration, Kind};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::worker;
use crate::support::books::{all_final, assert_books};
use crate::support::receiver::Answer;
use crate::support::{Setup, TestService};

/// What somebody holds.
const HELD: &str = "select (select count(*) from jobs where lease_until is not null)
                         + (select count(*) from slices where lease_until is not null)
                         + (select count(*) from deliveries where lease_until is not null)";

fn without_worker() -> Setup {
    Setup::new().role(Role::Api).env("PURGE__ENGINE__MAX_ATTEMPTS", "1")
}

#[tokio::test]
async fn under_load_it_ends_in_good_time_and_others_go_on_at_once() {
    let setup = without_worker()
        .sandbox(|settings| settings.job_duration = JobDuration { base_ms: 100, jitter_ms: 200 })
        .env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false");
    let test = setup.start().await;
    // Each call takes as long as one of a real upstream.
    for call in ["details", "submit", "poll"] {
        test.fault(json!({ "call": call, "fault": { "delayMs": 300 } }));
    }
    let ids = test.ids_of(Kind::Eligible);
    let first = worker(&test).await;
    for id in &ids[..40] {
        test.purge(&[*id]).await;
    }
    test.wait_until("it is at work", async || test.log(Call::Poll).len() > 3 && test.number(HELD).await > 3)
        .await;
    let told = Instant::now();
    assert_eq!(first.end(Signal::SIGTERM).await, Some(0));
    println!("from SIGTERM to its end under load: {:?}", told.elapsed());
    // Its calls, and what they lead to; much less than the grace of half a minute.
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    assert_eq!(test.number(HELD).await, 0, "nothing is held any more");
    assert_eq!(test.number("select count(*) from jobs where state in ('submitting', 'in_doubt')").await, 0);
    let open = "select count(*) from purges where finished_at is null";
    assert!(test.number(open).await > 0, "it had not ended by itself");
    let second = worker(&test).await;
    all_final(&test).await;
    test.assert_purged_once(&ids[..40]);
    assert_books(&test).await;
    assert_eq!(second.end(Signal::SIGTERM).await, Some(0));
}

/// What a call does that is answered long after the grace.
fn slow(call: &str) -> Value {
    json!({ "call": call, "times": 1, "when": "after", "fault": { "delayMs": 15_000 } })
}

#[tokio::test]
async fn what_does_not_end_within_the_grace_is_given_back() {
    for (call, state, ending) in [
        (Call::Details, "select count(*) from slices where state = 'validating'", "purged gone"),
        (
            Call::Submit,
            "select count(*) from jobs where state = 'submitting'",
            "purged gone_after_lost_submit",
        ),
        (
            Call::Poll,
            "select count(*) from jobs where state = 'submitted' and lease_until is not null",
            "purged gone",
        ),
    ] {
        let test = without_worker().env("PURGE__ENGINE__SHUTDOWN_GRACE", "300ms").start().await;
        test.fault(slow(match call {
            Call::Details => "details",
            Call::Submit => "submit",
            _ => "poll",
        }));
        let ids = &test.ids_of(Kind::Eligible)[..5];
        let first = worker(&test).await;
        let purge = test.purge(ids).await;
        // The call is on the way.
        test.wait_until("it waits for its answer", async || {
            test.number(state).await == 1
                && !test.sandbox.sandbox().faults().iter().any(|rule| rule.struck == 0)
        })
        .await;
        let told = Instant::now();
        assert_eq!(first.end(Signal::SIGTERM).await, Some(0));
        assert!(told.elapsed() < Duration::from_secs(5), "{call:?}: {:?}", told.elapsed());
        assert_eq!(test.number(HELD).await, 0, "{call:?}");
        let second = worker(&test).await;
        test.finished(purge).await;
        assert!(
            told.elapsed() < Duration::from_secs(30),
            "{call:?}: a lease is longer: {:?}",
            told.elapsed()
        );
        assert_eq!(test.endings(purge).await, crate::support::trouble::endings([(ending, 5)]), "{call:?}");
        assert_eq!(test.log(Call::Submit).len(), 1, "{call:?}");
        test.assert_purged_once(ids);
        assert_eq!(second.end(Signal::SIGTERM).await, Some(0));
        test.end().await;
    }
}

#[tokio::test]
async fn a_webhook_that_nobody_answers_is_given_back_too() {
    let test = without_worker().start().await;
    test.receiver.answer_next(&[Answer::Silence]);
    let first = worker(&test).await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..5]).await;
    test.finished(purge).await;
    let under_way = "select count(*) from deliveries where lease_until is not null";
    test.wait_until("a webhook is on the way", async || test.number(under_way).await > 0).await;
    assert_eq!(first.end(Signal::SIGTERM).await, Some(0));
    assert_eq!(test.number(HELD).await, 0);
    let told = Instant::now();
    let second = worker(&test).await;
    let pending = "select count(*) from deliveries where state = 'pending'";
    test.wait_until("all is told", async || test.number(pending).await == 0).await;
    assert!(told.elapsed() < Duration::from_secs(15), "no lease was waited for: {:?}", told.elapsed());
    assert_eq!(second.end(Signal::SIGTERM).await, Some(0));
}

#[tokio::test]
async fn whoever_is_told_twice_ends_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let test: TestService = without_worker().start().await;
        test.fault(slow("submit"));
        let worker = worker(&test).await;
        test.purge(&test.ids_of(Kind::Eligible)[..5]).await;
        test.wait_until("upstream has it", async || test.sandbox.sandbox().truth().deleted == 5).await;
        worker.send(Signal::SIGTERM);
        worker.logged(|line| line["message"] == "told to stop: no new work is begun").await;
        let told = Instant::now();
        assert_eq!(worker.end(signal).await, Some(130));
        assert!(told.elapsed() < Duration::from_secs(2), "{:?}", told.elapsed());
        test.end().await;
    }
}
