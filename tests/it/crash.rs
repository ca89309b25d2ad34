//! The engine dies in the middle of each step: afterwards everything reaches exactly one final outcome, and nothing is
//! submitted twice.

use std::time::Duration;

use genesys_purge::app::{Role, Service, World, engine_terms};
use genesys_purge::sandbox::{Call, JobDuration, Kind};
use genesys_purge::upkeep::leases;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use crate::support::trouble::{endings, strikes};
use crate::support::{Setup, TestService};

/// A worker on a runtime of its own, which can be torn down under it: every task ends at its next await, every
/// connection is cut, nothing is handed back.
struct Doomed {
    runtime: Runtime,
    service: Service,
}

impl Doomed {
    async fn start(test: &TestService) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (settings, place) = (test.settings.clone(), test.database.place());
        let service = runtime
            .spawn(async move { Service::start(&settings, &World::machine(), &place, Role::Worker).await })
            .await
            .unwrap()
            .unwrap();
        Self { runtime, service }
    }

    fn crash(self) {
        self.runtime.shutdown_background();
        drop(self.service);
    }
}

/// HTTP alone: the workers are the test's to kill.
fn without_worker() -> Setup {
    Setup::new().role(Role::Api).env("PURGE__ENGINE__MAX_ATTEMPTS", "1")
}

/// Ends the leases of the dead at once, as their time would, and has them taken up.
async fn end_leases(test: &TestService) {
    test.sql("update jobs set lease_until = clock_timestamp() where lease_until is not null").await;
    test.sql("update slices set lease_until = clock_timestamp() where lease_until is not null").await;
    let store = test.store().await;
    leases::expire(&store, "default", &engine_terms(&test.settings)).await.unwrap();
    store.close().await;
}

/// Kills the worker when the condition holds, and lets another one go on.
async fn crash_when(test: &TestService, what: &str, is_so: impl AsyncFnMut() -> bool) -> Service {
    let doomed = Doomed::start(test).await;
    test.wait_until(what, is_so).await;
    doomed.crash();
    end_leases(test).await;
    Service::start(&test.settings, &World::machine(), &test.database.place(), Role::Worker).await.unwrap()
}

async fn assert_completed(test: &TestService, purge: Uuid, expected: [(&str, usize); 1]) {
    let body: Value = test.finished(purge).await;
    assert_eq!(body["state"], "completed", "{body}");
    assert_eq!(test.endings(purge).await, endings(expected));
    test.wait_until("every job is done", async || {
        test.number("select count(*) from jobs where state <> 'done'").await == 0
    })
    .await;
    assert_eq!(test.number("select count(*) from reservations").await, 0);
}

#[tokio::test]
async fn a_crash_while_validating_has_the_question_asked_again() {
    let test = without_worker().start().await;
    test.fault(strikes("details", 1, &json!({ "delayMs": 2000 })));
    let ids = &test.ids_of(Kind::Eligible)[..5];
    let purge = test.purge(ids).await;
    let worker = crash_when(&test, "a question", async || {
        test.number("select count(*) from slices where state = 'validating'").await == 1
    })
    .await;
    assert_completed(&test, purge, [("purged gone", 5)]).await;
    assert_eq!(test.log(Call::Submit).len(), 1);
    test.assert_purged_once(ids);
    worker.stop().await;
}

#[tokio::test]
async fn a_crash_after_the_submit_was_worked_on_finds_its_ids_gone() {
    let test = without_worker().start().await;
    test.fault(json!({ "call": "submit", "times": 1, "when": "after", "fault": { "delayMs": 5000 } }));
    let ids = &test.ids_of(Kind::Eligible)[..5];
    let purge = test.purge(ids).await;
    let worker =
        crash_when(&test, "a job upstream", async || test.sandbox.sandbox().truth().deleted == 5).await;
    assert_completed(&test, purge, [("purged gone_after_lost_submit", 5)]).await;
    assert_eq!(test.log(Call::Submit).len(), 1);
    test.assert_purged_once(ids);
    worker.stop().await;
}

#[tokio::test]
async fn a_crash_before_the_submit_was_worked_on_submits_once_more() {
    let test = without_worker().start().await;
    // The reset comes after the crash: upstream never works on this call.
    test.fault(strikes("submit", 1, &json!({ "reset": "before", "delayMs": 1000 })));
    let ids = &test.ids_of(Kind::Eligible)[..5];
    let purge = test.purge(ids).await;
    let worker = crash_when(&test, "an intent", async || {
        test.number("select count(*) from jobs where state = 'submitting'").await == 1
    })
    .await;
    let body = test.get(&format!("/purges/{purge}")).await;
    assert_eq!(body["counts"]["submitted"], 5, "in doubt until its window has passed: {body}");
    assert_completed(&test, purge, [("purged gone", 5)]).await;
    assert_eq!(test.calls(Call::Submit, "200"), 1);
    test.assert_purged_once(ids);
    worker.stop().await;
}

#[tokio::test]
async fn a_crash_with_a_live_job_polls_it_to_its_end() {
    let setup = without_worker()
        .sandbox(|settings| settings.job_duration = JobDuration { base_ms: 1000, jitter_ms: 0 });
    let test = setup.start().await;
    let ids = &test.ids_of(Kind::Eligible)[..5];
    let purge = test.purge(ids).await;
    test.fault(strikes("poll", 1, &json!({ "delayMs": 2000 })));
    let worker = crash_when(&test, "a poll that is under way", async || {
        test.number("select count(*) from jobs where state = 'submitted' and lease_until is not null").await
            == 1
    })
    .await;
    assert_completed(&test, purge, [("purged gone", 5)]).await;
    assert_eq!(test.log(Call::Submit).len(), 1);
    let ended = "select count(*) from events where type = 'purge_job_completed' and purge_id is null";
    assert_eq!(test.number(ended).await, 1, "told once");
    test.assert_purged_once(ids);
    worker.stop().await;
}

#[tokio::test]
async fn a_crash_while_verifying_looks_again() {
    let test = without_worker().start().await;
    test.fault(json!({ "call": "details", "after": 1, "times": 1, "fault": { "delayMs": 2000 } }));
    let ids = &test.ids_of(Kind::Eligible)[..5];
    let purge = test.purge(ids).await;
    let worker = crash_when(&test, "a look that is under way", async || {
        test.number("select count(*) from jobs where state = 'verifying' and lease_until is not null").await
            == 1
    })
    .await;
    assert_completed(&test, purge, [("purged gone", 5)]).await;
    assert_eq!(test.log(Call::Submit).len(), 1);
    test.assert_purged_once(ids);
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_that_comes_back_from_the_dead_changes_nothing() {
    // The first worker is only slow: its lease is ended under it while its submit is under way.
    let test = without_worker().start().await;
    test.fault(json!({ "call": "submit", "times": 1, "when": "after", "fault": { "delayMs": 1500 } }));
    let ids = &test.ids_of(Kind::Eligible)[..5];
    let purge = test.purge(ids).await;
    let slow = Service::start(&test.settings, &World::machine(), &test.database.place(), Role::Worker)
        .await
        .unwrap();
    test.wait_until("a job upstream", async || test.sandbox.sandbox().truth().deleted == 5).await;
    end_leases(&test).await;
    assert_completed(&test, purge, [("purged gone_after_lost_submit", 5)]).await;
    // Its answer comes now, and is refused.
    slow.stop().await;
    assert_eq!(test.log(Call::Submit).len(), 1);
    assert_eq!(test.endings(purge).await, endings([("purged gone_after_lost_submit", 5)]));
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn crash_after_crash_leaves_every_conversation_with_one_outcome() {
    let setup = without_worker().sandbox(|settings| {
        settings.conversations = 300;
        settings.job_duration = JobDuration { base_ms: 20, jitter_ms: 150 };
    });
    let setup =
        setup.env("PURGE__ORGS__DEFAULT__MAX_BATCH", "10").env("PURGE__ENGINE__AMBIGUITY_GRACE", "400ms");
    let test = setup.start().await;
    let ids = test.ids_of(Kind::Eligible);
    let mut purges = Vec::new();
    for ids in ids.chunks(30) {
        purges.push(test.purge(ids).await);
    }
    let mut lives = 0;
    while test.number("select count(*) from purges where finished_at is null").await > 0 && lives < 40 {
        let doomed = Doomed::start(&test).await;
        // Each life ends a little later in the flow than the one before.
        tokio::time::sleep(Duration::from_millis(60 + 20 * lives)).await;
        doomed.crash();
        end_leases(&test).await;
        lives += 1;
    }
    let worker = Service::start(&test.settings, &World::machine(), &test.database.place(), Role::Worker)
        .await
        .unwrap();
    for purge in purges {
        let body = test.finished(purge).await;
        assert_eq!((&body["state"], &body["counts"]["purged"]), (&json!("completed"), &json!(30)), "{body}");
    }
    assert!(lives > 3, "{lives}");
    test.assert_purged_once(&ids);
    worker.stop().await;
}
