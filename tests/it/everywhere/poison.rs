//! Data on which the service fails repeatedly delays only itself: the rest of its query, its call and its turn goes
//! on, it is retried with backoff, and it continues by itself when it can.

use genesys_purge::sandbox::{Call, JobDuration, Kind};
use serde_json::{Value, json};
use uuid::Uuid;

use super::process::Mortal;
use crate::support::books::assert_books;
use crate::support::trouble::endings;
use crate::support::{Setup, TestService};

/// A service that is no more, and a process that panics there, in its place.
async fn doomed(setup: Setup, point: impl FnOnce(&[Uuid]) -> String) -> (TestService, Mortal, Vec<Uuid>) {
    let mut test = setup.start().await;
    test.stop_service().await;
    let ids = test.ids_of(Kind::Eligible);
    let mortal = followed_by(&mut test, Some(&point(&ids))).await;
    (test, mortal, ids)
}

/// Another process in the place of the last.
async fn followed_by(test: &mut TestService, point: Option<&str>) -> Mortal {
    let mortal = Mortal::start(test, point).await;
    test.url = mortal.url.clone().unwrap();
    mortal
}

/// So long the step of the number is put off, once it has panicked so often.
async fn until_put_off(test: &TestService, times: u32, is_so: &str) {
    let panicked = format!("select count(*) from {is_so}");
    test.wait_until("it is put off for longer", async || {
        let is_put_off = test.number(&panicked).await > 0;
        if !is_put_off {
            test.probe_now().await;
        }
        is_put_off
    })
    .await;
    let step = "genesys_purge_step_duration_seconds_count";
    assert!(test.counted(step, "result=\"panicked\"").await >= u64::from(times));
}

/// A process that panics at this effect over the first id, and a purge of 502: of its two slices the first is poison. Other purges
/// end, and so does what is not poison.
async fn poisoned_slice(effect: &str) -> (TestService, Mortal, Vec<Uuid>, Uuid) {
    let setup = Setup::new().sandbox(|org| org.conversations = 700).role(genesys_purge::app::Role::Api);
    let (test, mortal, ids) = doomed(setup, |ids| format!("{effect}:panic_over={}", ids[0])).await;
    let purge = test.purge(&ids[..502]).await;
    let others = [test.purge(&ids[510..513]).await, test.purge(&ids[520..523]).await];
    for other in others {
        assert_eq!(test.endings_when_final(other).await, endings([("purged gone", 3)]));
    }
    test.purge_when(purge, |body| body["counts"]["purged"] == 2).await;
    (test, mortal, ids, purge)
}

/// The same of jobs of two, each with a purge of its own: the first is poison, and the others end.
async fn poisoned_job(effect: &str) -> (TestService, Mortal, Vec<Uuid>, Uuid) {
    let setup = Setup::new().env("PURGE__ORGS__DEFAULT__MAX_BATCH", "2");
    let (test, mortal, ids) = doomed(setup, |ids| format!("{effect}:panic_over={}", ids[0])).await;
    let purges = [test.purge(&ids[..2]).await, test.purge(&ids[2..4]).await, test.purge(&ids[4..6]).await];
    for purge in &purges[1..] {
        assert_eq!(test.endings_when_final(*purge).await, endings([("purged gone", 2)]));
    }
    (test, mortal, ids, purges[0])
}

const READ_AGAIN: &str =
    "update slices set read_again_at = clock_timestamp() where read_again_at is not null";

/// A repaired process ends the purge of so many, and each of these ids was purged once.
async fn ends_once_repaired(
    test: &mut TestService,
    mortal: Mortal,
    (purge, number): (Uuid, usize),
    purged: &[Uuid],
) {
    drop(mortal);
    let _repaired = followed_by(test, None).await;
    test.sql(READ_AGAIN).await;
    test.probe_now().await;
    assert_eq!(test.endings_when_final(purge).await, endings([("purged gone", number)]));
    test.assert_purged_once(purged);
    assert_books(test).await;
}

#[tokio::test]
async fn a_slice_over_which_questions_panic_is_alone_before_long_and_parked_at_last() {
    let (mut test, mortal, ids, purge) = poisoned_slice("record_answers").await;
    until_put_off(&test, 4, "slices where panics >= 4 and run_at > clock_timestamp() + interval '8 s'").await;
    test.assert_untouched(&ids[..500]);
    test.probe_now().await;
    let body = test.purge_when(purge, |body| body["parked"].is_object()).await;
    assert_eq!((&body["state"], &body["parked"]["slices"]), (&json!("running"), &json!(1)), "{body}");
    let error = "this service failed on it repeatedly; see its log";
    assert_eq!(body["parked"]["error"], error);
    test.wait_until("the metric", async || test.counted("genesys_purge_slices_parked", "default").await == 1)
        .await;

    // Read again, it goes the same way, and is parked again the next time.
    let parked = format!("select count(*) from events where purge_id = '{purge}' and type = 'slice_parked'");
    test.sql(READ_AGAIN).await;
    test.probe_now().await;
    test.wait_until("it is parked again", async || test.number(&parked).await == 2).await;
    assert_eq!(
        test.number("select count(*) from slices where panics = 6 and parked_at is not null").await,
        1
    );

    ends_once_repaired(&mut test, mortal, (purge, 502), &ids[..502]).await;
    assert_eq!(test.number("select count(*) from slices where panics > 0").await, 0);
}

#[tokio::test]
async fn a_job_over_which_looks_panic_is_alone_and_waits_longer_each_time() {
    let (mut test, mortal, ids, purge) = poisoned_job("record_look").await;
    until_put_off(&test, 4, "jobs where blind >= 4 and run_at > clock_timestamp() + interval '8 s'").await;
    let job: Value = test.jobs(purge).await[0].clone();
    let message = "this service failed on it; see its log";
    assert_eq!(
        (&job["state"], &job["lastError"]["message"]),
        (&json!("verifying"), &json!(message)),
        "{job}"
    );
    assert_eq!(test.log(Call::Submit).len(), 3);

    ends_once_repaired(&mut test, mortal, (purge, 2), &ids[..6]).await;
}

#[tokio::test]
async fn what_panics_before_an_intent_holds_up_nothing_that_comes_after_it() {
    let setup =
        Setup::new().sandbox(|org| org.job_duration = JobDuration { base_ms: 3_600_000, jitter_ms: 0 });
    let mut test = setup.start().await;
    let ids = test.ids_of(Kind::Eligible);
    let first = test.purge(&ids[..3]).await;
    test.purge_when(first, |body| body["counts"]["submitted"] == 3).await;
    test.wait_until("the job", async || test.jobs(first).await[0]["state"] == "submitted").await;
    test.stop_service().await;
    let mortal = followed_by(&mut test, Some("pack:panics")).await;
    let second = test.purge(&ids[3..6]).await;
    test.purge_when(second, |body| body["counts"]["eligible"] == 3).await;
    test.sandbox.sandbox().end_jobs();
    test.probe_now().await;
    assert_eq!(test.endings_when_final(first).await, endings([("purged gone", 3)]));

    test.sandbox.sandbox().patch_settings(json!({ "jobDuration": { "baseMs": 50, "jitterMs": 0 } })).unwrap();
    drop(mortal);
    let _repaired = followed_by(&mut test, None).await;
    assert_eq!(test.endings_when_final(second).await, endings([("purged gone", 3)]));
    test.assert_purged_once(&ids[..6]);
    assert_books(&test).await;
}

#[tokio::test]
async fn a_slice_over_which_packing_panics_is_parked_once_others_are_packed() {
    let (mut test, mortal, ids, purge) = poisoned_slice("pack").await;
    let body = test.purge_when(purge, |body| body["parked"].is_object()).await;
    assert_eq!((&body["state"], &body["parked"]["slices"]), (&json!("running"), &json!(1)), "{body}");
    test.assert_untouched(&ids[..500]);

    ends_once_repaired(&mut test, mortal, (purge, 502), &ids[..502]).await;
}

#[tokio::test]
async fn a_job_over_which_intents_panic_lets_others_go_first() {
    let (mut test, mortal, ids, purge) = poisoned_job("intend").await;
    let waiting = "select count(*) from jobs where state = 'waiting' and tries > 0
                   and last_error->>'message' = 'this service failed on it in intend; see its log'";
    test.wait_until("it waits", async || test.number(waiting).await == 1).await;
    test.assert_untouched(&ids[..2]);

    ends_once_repaired(&mut test, mortal, (purge, 2), &ids[..6]).await;
}
