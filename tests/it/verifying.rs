//! What a look after a job's end makes of each conversation: gone, present, or could not tell, which is never "gone".

use genesys_purge::sandbox::{Call, DeletedLooks, Kind};
use serde_json::json;

use crate::support::Setup;
use crate::support::trouble::{endings, strikes};

#[tokio::test]
async fn a_deletion_that_shows_late_is_waited_for_and_not_repeated() {
    let setup = Setup::new().sandbox(|settings| settings.deletion_lag_ms = 1500);
    let test = setup.env("PURGE__ENGINE__MAX_ATTEMPTS", "1").start().await;
    let ids = &test.ids_of(Kind::Eligible)[..5];
    let purge = test.purge(ids).await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 5)]));
    assert_eq!(test.log(Call::Submit).len(), 1);
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn a_lag_that_was_hidden_by_a_late_poll_is_not_taken_for_none() {
    // The first job is polled long after its deletions show, so its lag seems to be nothing. The next one is polled
    // as soon as it has ended, and must not be taken for failed.
    let setup = Setup::new()
        .sandbox(|settings| settings.deletion_lag_ms = 1500)
        .env("PURGE__ENGINE__POLL_INITIAL", "2500ms")
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "20s");
    let test = setup.start().await;
    let ids = test.ids_of(Kind::Eligible);
    for ids in ids[..10].chunks(5) {
        let purge = test.purge(ids).await;
        assert_eq!(test.finished(purge).await["state"], "completed");
        assert_eq!(test.endings(purge).await, endings([("purged gone", 5)]));
        let estimate =
            r#"{"expected": 0.1, "agreed": true, "longer": null, "running": 0, "varies": false, "early": 0}"#;
        test.sql(&format!("update paces set model = '{{\"4\": {estimate}}}'")).await;
    }
    assert_eq!(test.log(Call::Submit).len(), 2);
    test.assert_purged_once(&ids[..10]);
}

#[tokio::test]
async fn a_deletion_that_shows_later_than_any_before_is_not_submitted_again() {
    let test = Setup::new().env("PURGE__ENGINE__RESUBMIT_AFTER", "4s").start().await;
    let ids = test.ids_of(Kind::Eligible);
    let first = test.purge(&ids[..5]).await;
    assert_eq!(test.finished(first).await["state"], "completed");
    // By experience deletions show at once; these take their time.
    test.sandbox.sandbox().patch_settings(json!({ "deletionLagMs": 2000 })).unwrap();
    let second = test.purge(&ids[5..10]).await;
    assert_eq!(test.finished(second).await["state"], "completed");
    assert_eq!(test.log(Call::Submit).len(), 2);
    test.assert_purged_once(&ids[..10]);
}

#[tokio::test]
async fn the_lag_lasts_until_its_record_however_long_the_answer_took() {
    let test = Setup::new().start().await;
    let ids = &test.ids_of(Kind::Eligible)[..2];
    test.fault(
        json!({ "call": "details", "after": 1, "times": 1, "when": "after", "fault": { "delayMs": 1500 } }),
    );
    let purge = test.purge(ids).await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    assert!(test.number("select (lag_seconds * 1000)::bigint from jobs").await >= 1500);
}

#[tokio::test]
async fn what_a_failed_or_partial_job_left_goes_again_in_another_job() {
    for (setting, first_state) in [("failedShare", "failed"), ("partialShare", "")] {
        let setup = Setup::new().env("PURGE__ENGINE__VERIFY_TIMEOUT", "300ms");
        let test = setup.start().await;
        test.sandbox.sandbox().patch_settings(json!({ (setting): 1.0 })).unwrap();
        let ids = &test.ids_of(Kind::Eligible)[..10];
        let purge = test.purge(ids).await;
        test.wait_until("the first job", async || test.calls(Call::Submit, "200") == 1).await;
        test.sandbox.sandbox().patch_settings(json!({ (setting): 0.0 })).unwrap();

        let body = test.finished(purge).await;
        assert_eq!(body["state"], "completed", "{setting}: {body}");
        assert_eq!(body["counts"]["purged"], 10, "{setting}");
        let submits = test.log(Call::Submit);
        assert_eq!(submits.len(), 2, "{setting}");
        let jobs = test.jobs(purge).await;
        assert_eq!(jobs.len(), 2, "{setting}: {jobs:?}");
        if !first_state.is_empty() {
            assert_eq!((&jobs[0]["result"], submits[1].ids), (&json!(first_state), 10), "{jobs:?}");
        }
        let hooks = test.receiver.wait_for(2, |hook| hook.event() == "purge_job_completed").await;
        let told: i64 = hooks.iter().map(|hook| hook.body["recordsProcessed"].as_i64().unwrap()).sum();
        assert_eq!(told, 10, "as upstream said it: {hooks:#?}");
        test.assert_purged_once(ids);
        test.end().await;
    }
}

#[tokio::test]
async fn what_is_still_there_after_the_last_attempt_fails_as_still_present() {
    let setup = Setup::new()
        .sandbox(|settings| settings.failed_share = 1.0)
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "200ms")
        .env("PURGE__ENGINE__MAX_ATTEMPTS", "2");
    let test = setup.start().await;
    let ids = &test.ids_of(Kind::Eligible)[..4];
    let purge = test.purge(ids).await;

    let body = test.finished(purge).await;
    assert_eq!(body["state"], "failed", "{body}");
    assert_eq!(test.endings(purge).await, endings([("failed still_present", 4)]));
    assert_eq!(test.log(Call::Submit).len(), 2, "two attempts, not one more");
    let jobs = test.jobs(purge).await;
    assert!(jobs.iter().all(|job| job["state"] == "done" && job["result"] == "failed"), "{jobs:?}");
    assert_eq!(test.number("select count(*) from reservations").await, 0);
    let hooks = test.receiver.wait_for(1, |hook| hook.event() == "purge_failed").await;
    assert_eq!(hooks[0].body["counts"]["failed"], 4);
    test.assert_no_breach();
}

#[tokio::test]
async fn a_lost_job_that_did_nothing_goes_again() {
    let setup = Setup::new()
        .sandbox(|settings| settings.failed_share = 1.0)
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "300ms");
    let test = setup.start().await;
    test.fault(strikes("poll", 3, &json!({ "status": 404 })));
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let purge = test.purge(ids).await;
    test.wait_until("the first job", async || test.calls(Call::Submit, "200") == 1).await;
    test.sandbox.sandbox().patch_settings(json!({ "failedShare": 0.0 })).unwrap();

    assert_eq!(test.finished(purge).await["state"], "completed");
    let jobs = test.jobs(purge).await;
    assert_eq!((&jobs[0]["result"], &jobs[1]["result"]), (&json!("lost"), &json!("completed")), "{jobs:?}");
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn gone_by_absence_takes_two_answers_a_gap_apart() {
    for looks in [DeletedLooks::Absent, DeletedLooks::Mixed] {
        let setup = Setup::new()
            .sandbox(|settings| settings.deleted_looks = looks)
            .env("PURGE__ENGINE__ABSENCE_GAP", "400ms")
            .env("PURGE__ENGINE__MAX_ATTEMPTS", "1");
        let test = setup.start().await;
        let ids = &test.ids_of(Kind::Eligible)[..20];
        let purge = test.purge(ids).await;

        assert_eq!(test.finished(purge).await["counts"]["purged"], 20);
        let ended = test.endings(purge).await;
        match looks {
            DeletedLooks::Absent => assert_eq!(ended, endings([("purged absent_twice", 20)])),
            _ => assert_eq!(ended["purged gone"] + ended["purged absent_twice"], 20),
        }
        let log = test.log(Call::Details);
        assert_eq!(log.len(), 3, "one to validate, two to verify: {log:#?}");
        assert!(log[2].at.duration_since(log[1].at).as_secs_f64() >= 0.4, "{log:#?}");
        assert_eq!(log[2].ids, ended["purged absent_twice"], "only those that were absent are asked again");
        test.assert_purged_once(ids);
        test.end().await;
    }
}

#[tokio::test]
async fn ids_that_one_answer_leaves_out_are_neither_not_found_nor_purged() {
    let setup = Setup::new().sandbox(|settings| {
        settings.conversations = 400;
        settings.leave_out_share = 1.0;
        settings.failed_share = 1.0;
    });
    let setup = setup.env("PURGE__ENGINE__MAX_ATTEMPTS", "1").env("PURGE__ENGINE__VERIFY_TIMEOUT", "1s");
    let test = setup.start().await;
    let ids = test.ids_of(Kind::Eligible);
    let purge = test.purge(&ids).await;
    // Every job fails: whatever is called purged or not found was only left out of an answer.
    test.finished(purge).await;
    assert_eq!(test.endings(purge).await, endings([("failed still_present", 400)]));
    test.assert_no_breach();
}

#[tokio::test]
async fn no_answer_past_the_deadline_after_the_end_is_unverified_and_never_purged() {
    let test = Setup::new().env("PURGE__ENGINE__JOB_DEADLINE", "1500ms").start().await;
    // The first question is the validation's.
    test.fault(json!({ "call": "details", "after": 1, "fault": { "status": 503 } }));
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let purge = test.purge(ids).await;

    let body = test.finished(purge).await;
    assert_eq!(body["state"], "failed", "{body}");
    assert_eq!(test.endings(purge).await, endings([("failed unverified", 3)]));
    let job = &test.jobs(purge).await[0];
    assert_eq!((&job["state"], &job["lastError"]["status"]), (&json!("done"), &json!(503)), "{job}");
    assert_eq!(test.log(Call::Submit).len(), 1);
    test.assert_no_breach();
}

#[tokio::test]
async fn an_id_that_upstream_will_not_tell_of_is_unverified_and_holds_nobody_up() {
    let test = Setup::new().env("PURGE__ENGINE__JOB_DEADLINE", "1500ms").start().await;
    let body = json!({ "message": "No.", "code": "bad.id" }).to_string();
    test.fault(json!({ "call": "details", "after": 1, "fault": { "status": 400, "body": body } }));
    let ids = &test.ids_of(Kind::Eligible)[..2];
    let purge = test.purge(ids).await;

    let body = test.finished(purge).await;
    assert_eq!(body["state"], "failed", "{body}");
    assert_eq!(test.endings(purge).await, endings([("failed unverified", 2)]));
    assert_eq!(test.jobs(purge).await[0]["state"], "done");
    test.assert_no_breach();
}

#[tokio::test]
async fn an_id_that_upstream_will_not_tell_of_after_a_lost_submit_ends_as_submit_unknown() {
    let test = Setup::new().env("PURGE__ENGINE__JOB_DEADLINE", "1500ms").start().await;
    let body = json!({ "message": "No.", "code": "bad.id" }).to_string();
    test.fault(json!({ "call": "details", "after": 1, "fault": { "status": 400, "body": body } }));
    test.fault(strikes("submit", 1, &json!({ "reset": "after" })));
    let ids = &test.ids_of(Kind::Eligible)[..2];
    let purge = test.purge(ids).await;

    let body = test.finished(purge).await;
    assert_eq!(body["state"], "failed", "{body}");
    assert_eq!(test.endings(purge).await, endings([("failed submit_unknown", 2)]));
    assert_eq!(test.log(Call::Submit).len(), 1, "it may have been deleted: never again");
    test.assert_no_breach();
}

#[tokio::test]
async fn what_a_look_itself_saw_protected_does_not_go_again() {
    let test = Setup::new()
        .sandbox(|org| {
            org.failed_share = 1.0;
            org.job_duration.base_ms = 100;
        })
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "2s")
        .start()
        .await;
    let ids = &test.ids_of(Kind::Eligible)[..2];
    let purge = test.purge(ids).await;
    test.wait_until("the job ended, having deleted nothing", async || {
        test.number("select count(*) from jobs where state = 'verifying'").await == 1
    })
    .await;
    test.sandbox.sandbox().set_kind(ids[0], Kind::Held).unwrap();

    assert_eq!(test.finished(purge).await["state"], "failed");
    let expected = endings([("on_hold upstream_legal_hold", 1), ("failed still_present", 1)]);
    assert_eq!(test.endings(purge).await, expected);
    let sizes: Vec<usize> = test.log(Call::Submit).iter().map(|entry| entry.ids).collect();
    assert_eq!(sizes, [2, 1, 1], "the protected one went once, before anybody knew");
    test.assert_no_breach();
}
