//! Webhooks to the operator's receiver: signed, the same bytes at every attempt, delivered or visibly dead.

mod documented;
mod endpoints;
mod failing;
mod killed;
mod listed;
mod receivers;
mod redelivered;
mod tutorial;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use genesys_purge::app::World;
use genesys_purge::sandbox::Kind;
use genesys_purge::store::Store;
use genesys_purge::store::deliveries::claim::{Delivery, Wanted};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::books::{assert_books, count, eventually};
use crate::support::receiver::{Answer, Hook, Receiver};
use crate::support::{Setup, TestService};

/// A service whose deliveries are repeated soon, and whose receiver answers at once or not at all.
fn impatient(schedule: &str) -> Setup {
    Setup::new().env("PURGE__WEBHOOKS__RETRY_SCHEDULE", schedule).env("PURGE__WEBHOOKS__TIMEOUT", "400ms")
}

/// Purges so many conversations to the end.
async fn purge_some(test: &TestService, number: usize) -> Uuid {
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..number]).await;
    test.finished(purge).await;
    purge
}

struct Told {
    state: String,
    attempt: i32,
    last_status: Option<i32>,
    last_error: Option<String>,
}

/// The delivery of one event.
async fn delivery(test: &TestService, event: &str) -> Told {
    let mut connection = test.database.connect().await;
    let (state, attempt, last_status, last_error) = sqlx::query_as(
        "select state::text, attempt, last_status, last_error from deliveries where event_id = $1",
    )
    .bind(event.parse::<Uuid>().unwrap())
    .fetch_one(&mut connection)
    .await
    .unwrap();
    Told { state, attempt, last_status, last_error }
}

/// Waits until the delivery of an event is in that state.
async fn delivery_in(test: &TestService, event: &str, state: &str) -> Told {
    eventually("the delivery got there", async || delivery(test, event).await.state == state).await;
    delivery(test, event).await
}

fn fields(body: &Value) -> BTreeSet<&str> {
    body.as_object().unwrap().keys().map(String::as_str).collect()
}

fn is_job(hook: &Hook) -> bool {
    hook.event() == "purge_job_completed"
}

fn is_purge(hook: &Hook) -> bool {
    hook.event() == "purge_completed"
}

#[tokio::test]
async fn receivers_are_told_exactly_the_fields_of_the_contract_in_signed_requests() {
    let test = Setup::new().sandbox(|org| org.job_duration.base_ms = 700).start().await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let request = json!({ "conversationIds": [ids[0], ids[1], ids[2], ids[0]], "reference": "CASE-7" });
    let purge = test.purge_with(request).await;
    let body = test.finished(purge).await;
    let hooks = test.receiver.wait_for(2, |_| true).await;
    let job = hooks.iter().find(|hook| is_job(hook)).unwrap();
    let jobs = test.get(&format!("/purges/{purge}/jobs")).await;
    assert_eq!(
        job.body,
        json!({
            "event": "purge_job_completed", "jobId": jobs["items"][0]["jobId"], "state": "completed",
            "recordsProcessed": 3, "latencySeconds": jobs["items"][0]["latencySeconds"],
            "timestamp": job.body["timestamp"], "purgeCount": 1, "purgeId": purge,
        })
    );
    let latency = job.body["latencySeconds"].as_f64().unwrap();
    // It counts from the recorded answer, which comes a little after upstream began.
    assert!((0.4..30.0).contains(&latency), "{latency}");
    let decimals = job.text.split("\"latencySeconds\":").nth(1).unwrap().split([',', '}']).next().unwrap();
    assert!(decimals.split('.').nth(1).is_some_and(|decimals| decimals.len() <= 2), "{decimals}");

    let done = hooks.iter().find(|hook| is_purge(hook)).unwrap();
    assert_eq!(
        done.body,
        json!({
            "event": "purge_completed", "purgeId": purge, "run": 1, "org": "default", "reference": "CASE-7",
            "labels": {}, "dryRun": false,
            "counts": {
                "total": 3, "duplicates": 1, "pending": 0, "eligible": 0, "submitted": 0, "purged": 3,
                "already_purged": 0, "on_hold": 0, "retained": 0, "not_found": 0, "active": 0, "failed": 0,
                "canceled": 0, "would_purge": 0,
            },
            "startedAt": body["startedAt"], "finishedAt": body["finishedAt"], "timestamp": done.body["timestamp"],
        })
    );
    for hook in &hooks {
        assert!(hook.is_verified, "{hook:#?}");
        assert!(hook.id.parse::<Uuid>().is_ok(), "{}", hook.id);
        assert_eq!(hook.headers["content-type"], "application/json");
        assert!(hook.headers["webhook-signature"].starts_with("v1,"));
        let sent: i64 = hook.headers["webhook-timestamp"].parse().unwrap();
        assert!(((World::machine().clock())().as_second() - sent).abs() < 60);
        assert!(hook.body["timestamp"].as_str().unwrap().ends_with('Z'), "{}", hook.body);
    }
    assert_ne!(hooks[0].id, hooks[1].id);
}

#[tokio::test]
async fn a_job_that_upstream_calls_failed_and_a_purge_that_failed_are_told_so() {
    let test = Setup::new()
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "50ms")
        .env("PURGE__ENGINE__MAX_ATTEMPTS", "2")
        .sandbox(|org| org.failed_share = 1.0)
        .start()
        .await;
    let purge = purge_some(&test, 2).await;
    let hooks = test.receiver.wait_for(3, |_| true).await;
    let jobs: Vec<_> = hooks.iter().filter(|hook| is_job(hook)).collect();
    assert_eq!(jobs.len(), 2, "one for each job: {hooks:#?}");
    for job in jobs {
        assert_eq!((&job.body["state"], &job.body["recordsProcessed"]), (&json!("failed"), &json!(0)));
    }
    let [done] = hooks.iter().filter(|hook| hook.event() == "purge_failed").collect::<Vec<_>>()[..] else {
        panic!("{hooks:#?}")
    };
    assert_eq!((&done.body["purgeId"], &done.body["counts"]["failed"]), (&json!(purge), &json!(2)));
    assert_eq!(done.body["reference"], json!(null), "the field is there even where there is nothing to say");
    let contract = [
        "event",
        "purgeId",
        "run",
        "org",
        "reference",
        "labels",
        "dryRun",
        "counts",
        "startedAt",
        "finishedAt",
        "timestamp",
    ];
    assert_eq!(fields(&done.body), contract.into());
    assert_books(&test).await;
}

#[tokio::test]
async fn a_delivery_is_repeated_by_its_schedule_with_the_same_id_and_bytes_until_it_is_taken() {
    let test = impatient("300ms,900ms,5m").start().await;
    test.receiver.answer_next(&[Answer::Status(500), Answer::Status(503)]);
    // Nothing is eligible, so this purge ends without a job and owes one delivery alone.
    let held = test.ids_of(Kind::Eligible)[0];
    test.post("/holds", &json!({ "matter": "M", "conversationIds": [held] })).await;
    let purge = test.purge(&[held]).await;
    test.finished(purge).await;

    let hooks = test.receiver.wait_for(3, |_| true).await;
    assert_eq!(hooks.len(), 3);
    for hook in &hooks {
        assert_eq!((&hook.id, &hook.text), (&hooks[0].id, &hooks[0].text), "the same id and bytes");
        assert!(hook.is_verified, "each attempt is signed for its own time");
    }
    let waits = [hooks[1].at - hooks[0].at, hooks[2].at - hooks[1].at];
    assert!(waits[0] >= Duration::from_millis(300) && waits[1] >= Duration::from_millis(900), "{waits:?}");
    let taken = delivery_in(&test, &hooks[0].id, "delivered").await;
    assert_eq!((taken.attempt, taken.last_status, taken.last_error), (3, Some(204), None));
    assert_books(&test).await;
}

#[tokio::test]
async fn every_answer_but_a_2xx_is_a_failure_and_the_end_of_the_schedule_is_a_visible_death() {
    let elsewhere = Receiver::start().await;
    let receiver = Receiver::leading_to(Some(elsewhere.url.clone())).await;
    let test = impatient("50ms,50ms,50ms").env("RETENTION_WEBHOOK_URL", &receiver.url).start().await;
    receiver.answer_next(&[Answer::Status(503), Answer::Status(307), Answer::Silence, Answer::Status(404)]);
    let held = test.ids_of(Kind::Eligible)[0];
    test.post("/holds", &json!({ "matter": "M", "conversationIds": [held] })).await;
    test.finished(test.purge(&[held]).await).await;

    let first = receiver.wait_for(1, |_| true).await.remove(0);
    let dead = delivery_in(&test, &first.id, "dead").await;
    assert_eq!((dead.attempt, dead.last_status), (4, Some(404)), "{:?}", dead.last_error);
    assert_eq!(dead.last_error.as_deref(), Some("the receiver answered 404"));
    let hooks = receiver.hooks();
    assert_eq!(hooks.len(), 4, "503, redirect and silence were all tried again: {hooks:#?}");
    assert!(hooks.iter().all(|hook| hook.text == first.text && hook.id == first.id));
    assert_eq!(elsewhere.hooks().len(), 0, "a redirect is not followed");
}

#[tokio::test]
async fn what_went_wrong_last_is_told_of_each_kind_of_failure() {
    let table = [
        (Answer::Status(410), "dead", Some(410), "the receiver answered 410: it is gone"),
        (Answer::Status(302), "pending", Some(302), "the receiver answered 302: redirects are not followed"),
        (Answer::Saying(500, "oh\nno"), "pending", Some(500), "the receiver answered 500: oh no"),
        (Answer::Silence, "pending", None, "no answer within 0.4 s"),
    ];
    let test = impatient("1h").start().await;
    let held = test.ids_of(Kind::Eligible)[0];
    test.post("/holds", &json!({ "matter": "M", "conversationIds": [held] })).await;
    for (number, (answer, state, status, error)) in table.into_iter().enumerate() {
        test.receiver.answer_next(&[answer]);
        test.finished(test.purge(&[held]).await).await;
        let hook = test.receiver.wait_for(number + 1, |_| true).await.remove(number);
        eventually("the attempt is recorded", async || delivery(&test, &hook.id).await.last_error.is_some())
            .await;
        let failed = delivery(&test, &hook.id).await;
        assert_eq!((failed.state.as_str(), failed.attempt, failed.last_status), (state, 1, status));
        assert_eq!(failed.last_error.as_deref(), Some(error));
    }
}

#[tokio::test]
async fn a_receiver_that_is_down_costs_the_purge_nothing_and_hears_of_it_when_it_is_back() {
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let test = impatient("200ms,200ms,200ms,200ms,200ms,5m")
        .env("RETENTION_WEBHOOK_URL", &format!("http://{address}/hooks"))
        .start()
        .await;
    purge_some(&test, 3).await;
    let mut connection = test.database.connect().await;
    eventually("both were tried", async || {
        count(
            &mut connection,
            "select count(*) from deliveries where attempt > 0 and last_error like 'no answer%'",
        )
        .await
            == 2
    })
    .await;
    let back = Receiver::at(address).await;
    let hooks = back.wait_for(2, |hook| hook.is_verified).await;
    assert!(hooks.iter().any(is_job) && hooks.iter().any(is_purge));
    assert_books(&test).await;
}

#[tokio::test]
async fn deliveries_survive_a_restart() {
    let mut test = impatient("2s,2s").start().await;
    test.receiver.answer_next(&[Answer::Status(500), Answer::Status(500)]);
    purge_some(&test, 3).await;
    let before = test.receiver.wait_for(2, |_| true).await;
    test.stop_service().await;
    let mut connection = test.database.connect().await;
    let pending = "select count(*) from deliveries where state = 'pending'";
    assert!(count(&mut connection, pending).await > 0, "the stop came before the next attempt");

    test.start_service().await;
    eventually("nothing is pending", async || count(&mut connection, pending).await == 0).await;
    let after = test.receiver.hooks();
    for hook in &before {
        let tries: Vec<_> = after.iter().filter(|again| again.id == hook.id).collect();
        assert!(tries.len() >= 2 && tries.iter().all(|again| again.text == hook.text && again.is_verified));
    }
    assert_books(&test).await;
}

/// Claims what is due.
async fn claim(store: &Store) -> Vec<Delivery> {
    let wanted = Wanted {
        room: 8,
        room_of_purges: 8,
        at_once: 8,
        at_once_trusted: 8,
        trusted: Vec::new(),
        under_way: BTreeMap::new(),
        to_operator: true,
        after: String::new(),
        lease: Duration::from_secs(30),
    };
    store.claim_deliveries(&wanted).await.unwrap().deliveries
}

/// Claims what is due as a process does that dies before it records anything; the seconds of the lease that it leaves, which
/// is over at once.
async fn die_while_sending(test: &TestService) -> i64 {
    let store = test.store().await;
    test.sql("update deliveries set run_at = now() where state = 'pending'").await;
    assert_eq!(claim(&store).await.len(), 1);
    store.close().await;
    let lease = "select round(extract(epoch from lease_until - now()))::bigint from deliveries";
    let seconds = test.number(lease).await;
    test.sql("update deliveries set lease_until = now() - interval '1 second'").await;
    seconds
}

/// A stopped service with one delivery, whose first attempt was refused and is recorded.
async fn refused_once(schedule: &str) -> (TestService, Hook) {
    let mut test = impatient(schedule).start().await;
    test.receiver.answer_next(&[Answer::Status(500)]);
    let held = test.ids_of(Kind::Eligible)[0];
    test.post("/holds", &json!({ "matter": "M", "conversationIds": [held] })).await;
    test.finished(test.purge(&[held]).await).await;
    let first = test.receiver.wait_for(1, |_| true).await.remove(0);
    eventually("it is recorded", async || delivery(&test, &first.id).await.attempt == 1).await;
    test.stop_service().await;
    (test, first)
}

#[tokio::test]
async fn a_process_that_dies_while_it_sends_uses_up_no_attempt() {
    let (mut test, first) = refused_once("1h,1h").await;
    for _ in 0..5 {
        die_while_sending(&test).await;
    }
    test.receiver.answer_next(&[Answer::Status(500)]);
    test.settings.webhooks.retry_schedule = vec![Duration::from_millis(50); 2];
    test.start_service().await;
    let taken = delivery_in(&test, &first.id, "delivered").await;
    assert_eq!(taken.attempt, 3, "one before the deaths, two after them");
    test.end().await;
}

#[tokio::test]
async fn a_delivery_that_ends_whoever_sends_it_is_tried_less_and_less_often() {
    let (test, _) = refused_once("1h").await;
    let mut leases = Vec::new();
    for _ in 0..11 {
        leases.push(die_while_sending(&test).await);
    }
    assert!(
        leases.windows(2).take(8).all(|pair| pair[1] >= pair[0] * 2 - 2),
        "each is twice as long: {leases:?}"
    );
    assert!(leases[10] < 3 * 3600, "up to hours, not for ever: {leases:?}");
    test.end().await;
}

#[tokio::test]
async fn deliveries_that_are_owed_while_no_receiver_listens_any_more_wait_for_one() {
    let mut test = impatient("1h").start().await;
    test.receiver.answer_next(&[Answer::Silence, Answer::Silence]);
    purge_some(&test, 1).await;
    test.receiver.wait_for(2, |_| true).await;
    test.stop_service().await;
    test.settings.webhooks.url = None;
    test.start_service().await;
    let more = test.purge(&test.ids_of(Kind::Eligible)[50..53]).await;
    test.finished(more).await;
    let mut connection = test.database.connect().await;
    let owed = count(&mut connection, "select count(*) from deliveries where state = 'pending'").await;
    assert_eq!(owed, 2, "what was owed stays owed, and nothing new is");
}

#[tokio::test]
async fn without_a_receiver_nothing_is_owed() {
    let test = Setup::new().env("RETENTION_WEBHOOK_URL", "").start().await;
    assert!(test.settings.webhooks.url.is_none());
    purge_some(&test, 3).await;
    let mut connection = test.database.connect().await;
    assert_eq!(count(&mut connection, "select count(*) from deliveries").await, 0);
    assert_eq!(test.receiver.hooks().len(), 0);
    assert_books(&test).await;
}

#[tokio::test]
async fn one_slow_receiver_call_does_not_hold_up_the_next_deliveries_for_ever() {
    let test = impatient("100ms,100ms").start().await;
    test.receiver.answer_next(&[Answer::Silence]);
    for round in 0..12 {
        let id = test.ids_of(Kind::Eligible)[round];
        test.finished(test.purge(&[id]).await).await;
    }
    let hooks = test.receiver.wait_for(24, |hook| hook.is_verified).await;
    let events: BTreeSet<_> = hooks.iter().map(|hook| &hook.id).collect();
    assert!(events.len() >= 23, "{}", events.len());
    let mut connection = test.database.connect().await;
    eventually("all are delivered", async || {
        count(&mut connection, "select count(*) from deliveries where state <> 'delivered'").await == 0
    })
    .await;
    assert_books(&test).await;
}
