//! A client that no longer sees anything: every answer is valid and empty, and no conversation counts as gone or
//! unknown. Controls may be deleted by others, which must not block the org for ever.

use std::time::Duration;

use genesys_purge::domain::sight::Shown;
use genesys_purge::sandbox::{Call, DeletedLooks, Kind, Shares};
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::books::assert_books;
use crate::support::trouble::{endings, strikes};
use crate::support::{Setup, TestService};

/// An organization with conversations of several kinds.
fn mixed() -> Setup {
    Setup::new().sandbox(|settings| {
        settings.shares = Shares { eligible: 0.6, held: 0.1, young: 0.2, unknown: 0.1, ..Shares::none() };
    })
}

/// Every details answer from now on is valid and empty.
fn blind() -> Value {
    json!({ "call": "details", "fault": { "status": 200, "body": json!({ "data": [] }).to_string() } })
}

/// Has the service see conversations that stay.
async fn look_around(test: &TestService) -> Vec<Uuid> {
    let staying = test.ids_of(Kind::Young);
    let purge = test.purge(&staying).await;
    assert_eq!(test.finished(purge).await["counts"]["retained"], staying.len());
    assert_eq!(test.number("select count(*) from controls").await, 2);
    staying
}

/// What answers are checked by was deleted by somebody else.
async fn lose_control(test: &TestService) {
    test.sql("delete from controls").await;
    let id = Uuid::from_u128(7);
    test.sql(&format!(
        "insert into controls (org, conversation_id, seen_at) values ('default', '{id}', now())"
    ))
    .await;
}

fn is_blind(body: &Value) -> bool {
    body["blockedReason"]["code"] == "blind"
}

/// Upstream deletes nothing, and tells of nothing: without a control all would be called purged.
#[tokio::test]
async fn what_a_blind_client_is_not_shown_after_a_job_is_not_called_purged() {
    let setup = mixed()
        .sandbox(|settings| {
            settings.failed_share = 1.0;
            settings.job_duration.base_ms = 500;
        })
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "200ms")
        .env("PURGE__ENGINE__MAX_ATTEMPTS", "1");
    let test = setup.start().await;
    look_around(&test).await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let purge = test.purge(ids).await;
    test.wait_until("a job", async || test.calls(Call::Submit, "200") == 1).await;
    test.fault(blind());

    let body = test.purge_when(purge, is_blind).await;
    let detail = body["blockedReason"]["detail"].as_str().unwrap();
    assert!(detail.contains("divisions") && detail.contains("/orgs/default/resume"), "{detail}");
    assert_eq!((&body["counts"]["submitted"], &body["counts"]["purged"]), (&json!(3), &json!(0)), "{body}");
    let job = &test.jobs(purge).await[0];
    assert!(job["lastError"]["message"].as_str().unwrap().contains("which exists"), "{job}");
    let org = test.get("/orgs/default").await;
    assert_eq!(
        (&org["blocked"]["code"], &org["blocked"]["call"]),
        (&json!("blind"), &json!("sight")),
        "{org}"
    );

    test.sandbox.sandbox().clear_faults();
    test.probe_now().await;
    assert_eq!(test.finished(purge).await["state"], "failed");
    assert_eq!(test.endings(purge).await, endings([("failed still_present", 3)]));
    test.wait_until("it sees again", async || {
        test.number("select count(*) from orgs where blocked_code is not null").await == 0
    })
    .await;
    assert_eq!(test.number("select count(*) from controls where missed > 0").await, 0);
    assert_books(&test).await;
}

/// The client loses sight of a division: it sees its control, and none of what the job carried, which did nothing.
#[tokio::test]
async fn what_a_job_can_not_have_deleted_is_not_called_purged_where_answers_lack_it() {
    let test = mixed().sandbox(|settings| settings.failed_share = 1.0).start().await;
    look_around(&test).await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    test.fault(json!({ "call": "details", "after": 1, "fault": { "status": 503 } }));
    let purge = test.purge(ids).await;
    test.wait_until("the end of the job", async || {
        test.number("select count(*) from jobs where state = 'verifying'").await == 1
    })
    .await;
    for id in ids {
        test.sandbox.sandbox().set_kind(*id, Kind::Unknown).unwrap();
    }
    test.sandbox.sandbox().clear_faults();
    let looked = async || {
        test.probe_now().await;
        test.calls(Call::Details, "200") >= 6
    };
    test.wait_until("some looks", looked).await;
    assert_eq!(test.get(&format!("/purges/{purge}")).await["counts"]["submitted"], 3);
    assert_eq!(test.jobs(purge).await[0]["recordsProcessed"], 0);

    test.sql("update jobs set ended_at = ended_at - interval '25 hours' where state = 'verifying'").await;
    test.probe_now().await;
    assert_eq!(test.endings_when_final(purge).await, endings([("failed unverified", 3)]));
    let detail = &test.conversations(purge).await[0]["detail"];
    assert!(detail.as_str().unwrap().contains("processed 0 records"), "{detail}");
    assert_books(&test).await;
}

#[tokio::test]
async fn what_a_blind_client_asks_about_is_not_called_not_found() {
    let test = mixed().start().await;
    let staying = look_around(&test).await;
    test.fault(blind());
    let ids = &test.ids_of(Kind::Eligible)[..4];
    // One of its own questions is about a conversation that is known to exist.
    let purge = test.purge(&[ids, &staying[..1]].concat()).await;
    let body = test.purge_when(purge, is_blind).await;
    assert_eq!((&body["counts"]["pending"], &body["counts"]["not_found"]), (&json!(5), &json!(0)), "{body}");
    // A try that sees nothing either changes nothing.
    let calls = test.log(Call::Details).len();
    test.probe_now().await;
    test.wait_until("another try", async || test.log(Call::Details).len() > calls).await;
    assert_eq!(test.number("select count(*) from events where type = 'org_blocked'").await, 1);

    test.sandbox.sandbox().clear_faults();
    test.go_on().await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    let seen = endings([("purged gone", 4), ("retained retention_period", 1)]);
    assert_eq!(test.endings(purge).await, seen);
    test.assert_purged_once(ids);
    assert_books(&test).await;
}

/// No whole answer for `job_deadline`: an org whose control was deleted is not stopped for ever, and still nothing is called
/// gone that was not seen to be.
#[tokio::test]
async fn a_job_that_nobody_can_look_at_ends_unverified() {
    let setup = mixed().sandbox(|settings| {
        settings.deleted_looks = DeletedLooks::Absent;
        settings.job_duration.base_ms = 500;
    });
    let test = setup.env("PURGE__ENGINE__JOB_DEADLINE", "2s").start().await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let purge = test.purge(ids).await;
    test.wait_until("a job", async || test.calls(Call::Submit, "200") == 1).await;
    lose_control(&test).await;
    assert_eq!(test.finished(purge).await["state"], "failed");
    assert_eq!(test.endings(purge).await, endings([("failed unverified", 3)]));
    assert_eq!(test.number("select count(*) from reservations").await, 0);
}

#[tokio::test]
async fn a_control_that_somebody_deleted_is_forgotten_where_others_are_seen() {
    let test = mixed().start().await;
    lose_control(&test).await;
    let (eligible, unknown) = (test.ids_of(Kind::Eligible), test.ids_of(Kind::Unknown));
    let purge = test.purge(&[&eligible[..3], &unknown[..2]].concat()).await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 3), ("not_found absent_twice", 2)]));
    assert_eq!(test.number("select count(*) from controls").await, 0);
    assert_eq!(test.number("select count(*) from events where type = 'org_blocked'").await, 0);
}

#[tokio::test]
async fn an_operator_may_say_that_what_is_missing_was_deleted() {
    let test = mixed().start().await;
    lose_control(&test).await;
    let unknown = test.ids_of(Kind::Unknown);
    let purge = test.purge(&unknown[..2]).await;
    let pending = test.purge_when(purge, is_blind).await;
    assert_eq!(pending["counts"]["pending"], 2, "{pending}");

    let (status, org) = test.post("/orgs/default/resume", &Value::Null).await;
    assert_eq!((status, &org["blocked"]), (StatusCode::OK, &Value::Null), "{org}");
    test.probe_now().await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("not_found absent_twice", 2)]));
    let resumed =
        "select count(*) from events where type = 'org_resumed' and payload @> '{\"forgottenControls\": 1}'";
    assert_eq!(test.number(resumed).await, 1);
}

#[tokio::test]
async fn a_control_makes_no_call_larger_than_it_may_be_and_no_call_more_where_there_is_room() {
    let setup = mixed()
        .sandbox(|settings| {
            settings.max_details = 10;
            settings.max_batch = 10;
            settings.deleted_looks = DeletedLooks::Absent;
        })
        .env("PURGE__ORGS__DEFAULT__DETAILS_BATCH", "10")
        .env("PURGE__ORGS__DEFAULT__MAX_BATCH", "10");
    let test = setup.start().await;
    look_around(&test).await;
    let before = test.log(Call::Details).len();
    let ids = &test.ids_of(Kind::Eligible)[..10];
    let purge = test.purge(ids).await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("purged absent_twice", 10)]));
    let calls = &test.log(Call::Details)[before..];
    assert_eq!(test.calls(Call::Details, "413"), 0);
    let sizes: Vec<usize> = calls.iter().map(|call| call.ids).collect();
    assert!(sizes.iter().all(|size| *size <= 10), "{sizes:?}");
    // Two to validate; and of the looks those by which something is called gone have a control.
    assert!((5..=8).contains(&sizes.len()), "{sizes:?}");
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn a_call_that_is_refused_with_a_control_is_made_without_it_and_fails_nobody() {
    let test = mixed().start().await;
    look_around(&test).await;
    test.fault(strikes("details", 1, &json!({ "status": 400 })));
    let ids = &test.ids_of(Kind::Eligible)[..1];
    let unknown = &test.ids_of(Kind::Unknown)[..1];
    let purge = test.purge(&[ids, unknown].concat()).await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 1), ("not_found absent_twice", 1)]));
    test.assert_all_struck();
}

#[tokio::test]
async fn what_is_asked_without_the_control_proves_nothing_of_what_it_leaves_out() {
    let test = mixed().start().await;
    look_around(&test).await;
    let before = test.log(Call::Details).len();
    test.fault(strikes("details", 1, &json!({ "status": 400 })));
    let purge = test.purge(&test.ids_of(Kind::Unknown)[..1]).await;
    assert_eq!(test.endings_when_final(purge).await, endings([("not_found absent_twice", 1)]));
    // Refused with the control, asked without it, and then twice with it.
    assert_eq!(test.log(Call::Details).len() - before, 4);
}

#[tokio::test]
async fn an_answer_that_says_that_it_is_not_whole_says_nothing_of_the_control() {
    let test = mixed().start().await;
    look_around(&test).await;
    // The half that is left tells of what was asked about, and the control is in the other.
    test.fault(json!({ "call": "details", "fault": { "garbage": "incomplete" } }));
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..1]).await;
    assert_eq!(test.endings_when_final(purge).await, endings([("purged gone", 1)]));
    assert_eq!(test.number("select sum(missed)::bigint from controls").await, 0);
}

#[tokio::test]
async fn misses_of_one_moment_are_one_and_what_is_seen_ends_those_of_others() {
    let test = Setup::new().role(genesys_purge::app::Role::Api).start().await;
    lose_control(&test).await;
    let (lost, seen) = (Uuid::from_u128(7), Uuid::from_u128(8));
    let store = test.store().await;
    let missing = Shown::Missing { are_others_shown: false };
    let note = async |id, shown, gap| store.note_control("default", id, shown, gap).await.unwrap();
    for (gap, missed) in [(3600, 1), (3600, 1), (0, 2), (3600, 2)] {
        let known = note(lost, missing, Duration::from_secs(gap)).await;
        assert_eq!(known.iter().map(|control| control.missed).collect::<Vec<_>>(), [missed]);
    }
    test.sql(&format!(
        "insert into controls (org, conversation_id, seen_at) values ('default', '{seen}', now())"
    ))
    .await;
    let known = note(seen, Shown::Present, Duration::ZERO).await;
    assert_eq!(known.iter().map(|control| control.id).collect::<Vec<_>>(), [seen]);
    store.close().await;
}

#[tokio::test]
async fn no_more_controls_are_kept_than_are_of_use() {
    let test = mixed().start().await;
    let staying = test.ids_of(Kind::Young);
    for ids in [&staying[..1], &staying[1..6]] {
        let purge = test.purge(ids).await;
        assert_eq!(test.finished(purge).await["counts"]["retained"], ids.len());
    }
    assert_eq!(test.number("select count(*) from controls").await, 2);
}
