//! Submits without an answer that says something: the service finds out what happened before it submits again.

mod limits;

use genesys_purge::sandbox::{Call, JobDuration, Kind};
use serde_json::{Value, json};

use crate::support::trouble::{endings, strikes};
use crate::support::{Setup, TestService};

/// One attempt is allowed, so a loss that counted as one would end the purge.
fn strict() -> Setup {
    Setup::new().env("PURGE__ENGINE__MAX_ATTEMPTS", "1")
}

/// No submit follows another within the window of 300 ms.
fn assert_windows(test: &TestService) {
    let submits = test.log(Call::Submit);
    for pair in submits.windows(2) {
        let apart = pair[1].at.duration_since(pair[0].at).as_secs_f64();
        assert!(apart >= 0.3, "submitted again after {apart} s: {submits:#?}");
    }
}

#[tokio::test]
async fn a_submit_that_was_lost_before_its_work_is_submitted_again_after_the_window() {
    for fault in [
        json!({ "status": 500 }),
        json!({ "status": 502 }),
        json!({ "status": 503 }),
        json!({ "status": 504 }),
        json!({ "status": 408 }),
        json!({ "reset": "before" }),
    ] {
        let test = strict().start().await;
        test.fault(strikes("submit", 1, &fault));
        let ids = &test.ids_of(Kind::Eligible)[..5];
        let purge = test.purge(ids).await;

        let body = test.finished(purge).await;
        assert_eq!(body["state"], "completed", "{fault}: {body}");
        assert_eq!(test.endings(purge).await, endings([("purged gone", 5)]), "{fault}");
        assert_eq!(test.calls(Call::Submit, "200"), 1, "{fault}");
        assert_eq!(test.log(Call::Submit).len(), 2, "{fault}");
        let jobs = test.jobs(purge).await;
        assert_eq!(jobs.len(), 1, "the same job goes again: {jobs:?}");
        assert_windows(&test);
        test.assert_purged_once(ids);
        test.end().await;
    }
}

/// The work is done, and the answer names no job.
fn without_job_id(answer: &Value) -> Value {
    let fault = json!({ "status": 200, "body": answer.to_string() });
    json!({ "call": "submit", "times": 1, "when": "after", "fault": fault })
}

#[tokio::test]
async fn a_submit_whose_answer_was_lost_after_its_work_is_never_submitted_again() {
    for rule in [
        strikes("submit", 1, &json!({ "reset": "after" })),
        strikes("submit", 1, &json!({ "garbage": "html" })),
        strikes("submit", 1, &json!({ "garbage": "cutJson" })),
        strikes("submit", 1, &json!({ "garbage": "cutBody" })),
        strikes("submit", 1, &json!({ "garbage": "empty" })),
        strikes("submit", 1, &json!({ "garbage": "wrongShape" })),
        json!({ "call": "submit", "times": 1, "when": "after", "fault": { "status": 504 } }),
        json!({ "call": "submit", "times": 1, "when": "after", "fault": { "status": 500 } }),
        json!({ "call": "submit", "times": 1, "when": "after", "fault": { "status": 408 } }),
        without_job_id(&json!({ "jobId": null, "state": "pending" })),
        without_job_id(&json!({ "jobId": "" })),
        without_job_id(&json!({ "jobId": 7 })),
    ] {
        let test = strict().start().await;
        test.fault(rule.clone());
        let ids = &test.ids_of(Kind::Eligible)[..5];
        let purge = test.purge(ids).await;

        let body = test.finished(purge).await;
        assert_eq!(body["state"], "completed", "{rule}: {body}");
        assert_eq!(test.endings(purge).await, endings([("purged gone_after_lost_submit", 5)]), "{rule}");
        assert_eq!(test.log(Call::Submit).len(), 1, "{rule}");
        assert_eq!(test.jobs(purge).await[0]["result"], "lost", "{rule}");
        test.assert_purged_once(ids);
        test.end().await;
    }
}

#[tokio::test]
async fn what_a_lost_job_left_undone_goes_again_and_what_it_deleted_does_not() {
    let test = strict().sandbox(|settings| settings.partial_share = 1.0).start().await;
    test.fault(strikes("submit", 1, &json!({ "reset": "after" })));
    let ids = &test.ids_of(Kind::Eligible)[..20];
    let purge = test.purge(ids).await;
    test.wait_until("the lost submit", async || test.log(Call::Submit).len() == 1).await;
    test.sandbox.sandbox().patch_settings(json!({ "partialShare": 0.0 })).unwrap();

    assert_eq!(test.finished(purge).await["state"], "completed");
    let ended = test.endings(purge).await;
    let lost = ended["purged gone_after_lost_submit"];
    assert!((1..20).contains(&lost), "{ended:?}");
    assert_eq!(ended["purged gone"], 20 - lost, "{ended:?}");
    let submits = test.log(Call::Submit);
    assert_eq!(submits.len(), 2);
    assert_eq!(submits[1].ids, 20 - lost);
    // Ids had disappeared, so the window began anew: the second submit is two windows away.
    assert!(submits[1].at.duration_since(submits[0].at).as_secs_f64() >= 0.6, "{submits:#?}");
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn gone_by_absence_after_a_lost_submit_takes_two_answers() {
    let setup = strict().sandbox(|settings| {
        settings.deleted_looks = genesys_purge::sandbox::DeletedLooks::Absent;
    });
    let test = setup.start().await;
    test.fault(strikes("submit", 1, &json!({ "reset": "after" })));
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let purge = test.purge(ids).await;

    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("purged gone_after_lost_submit", 3)]));
    let looks = test.log(Call::Details);
    assert_eq!(looks.len(), 3, "one to validate, two to see them gone");
    assert!(looks[2].at.duration_since(looks[1].at).as_secs_f64() >= 0.1, "{looks:#?}");
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn submits_that_are_lost_again_and_again_end_as_submit_unknown_and_keep_no_slot() {
    let setup = strict()
        .env("PURGE__ENGINE__JOB_DEADLINE", "2s")
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "1");
    let test = setup.start().await;
    test.fault(json!({ "call": "submit", "fault": { "status": 504 } }));
    let (ids, others) = (&test.ids_of(Kind::Eligible)[..4], &test.ids_of(Kind::Eligible)[4..8]);
    let purge = test.purge(ids).await;

    let body = test.finished(purge).await;
    assert_eq!(body["state"], "failed", "{body}");
    assert_eq!(test.endings(purge).await, endings([("failed submit_unknown", 4)]));
    assert_windows(&test);
    assert!(test.log(Call::Submit).len() >= 2);
    let job = &test.jobs(purge).await[0];
    assert_eq!((&job["state"], &job["result"]), (&json!("done"), &json!("lost")), "{job}");
    assert_eq!(job["lastError"]["status"], 504, "{job}");
    test.assert_untouched(ids);

    test.sandbox.sandbox().clear_faults();
    let next = test.purge(others).await;
    assert_eq!(test.finished(next).await["state"], "completed");
    test.assert_purged_once(others);
}

#[tokio::test]
async fn a_success_between_two_losses_breaks_the_row() {
    // Each submit but the last is lost; every loss alone lies within the deadline.
    let test = strict().env("PURGE__ENGINE__JOB_DEADLINE", "5s").start().await;
    test.fault(strikes("submit", 2, &json!({ "status": 503 })));
    let ids = &test.ids_of(Kind::Eligible)[..2];
    let purge = test.purge(ids).await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.log(Call::Submit).len(), 3);
    assert_eq!(test.number("select count(*) from jobs where lost_since is not null").await, 0);
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn an_id_of_a_job_in_doubt_is_in_no_other_job_until_the_window_has_passed() {
    let setup = strict().sandbox(|settings| {
        settings.job_duration = JobDuration { base_ms: 800, jitter_ms: 0 };
    });
    let test = setup.env("PURGE__ENGINE__AMBIGUITY_GRACE", "1200ms").start().await;
    test.fault(strikes("submit", 1, &json!({ "reset": "after" })));
    let ids = &test.ids_of(Kind::Eligible)[..6];
    let first = test.purge(ids).await;
    test.wait_until("the lost submit", async || test.log(Call::Submit).len() == 1).await;
    let second = test.purge(ids).await;

    assert_eq!(test.finished(first).await["counts"]["purged"], 6);
    assert_eq!(test.finished(second).await["counts"]["already_purged"], 6);
    assert_eq!(test.log(Call::Submit).len(), 1);
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn a_refused_connection_is_a_definite_no_and_loses_nothing() {
    let mut test = strict().start().await;
    let ids = &test.ids_of(Kind::Eligible)[..5];
    // The token is in hand and the facts are known when the connection is refused.
    test.fault(strikes("submit", 1, &json!({ "retryAfter": "2" })));
    let purge = test.purge(ids).await;
    test.wait_until("the refused submit", async || test.calls(Call::Submit, "429") == 1).await;
    let port = test.close_upstream().await;
    test.purge_when(purge, |body| body["counts"]["eligible"] == 5).await;
    test.wait_until("a submit that finds no connection", async || {
        let job = test.jobs(purge).await[0].clone();
        job["attempt"].as_i64() > Some(1) && job["state"] == "waiting"
    })
    .await;
    let job = &test.jobs(purge).await[0];
    assert_eq!(
        (&job["lastError"]["call"], &job["lastError"]["status"]),
        (&json!("submit"), &json!(null)),
        "{job}"
    );
    test.open_upstream(port).await;

    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 5)]));
    assert_eq!(
        test.number("select count(*) from decisions where step = 'reread'").await,
        0,
        "never in doubt"
    );
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn an_upstream_that_is_away_at_every_step_costs_only_time() {
    let mut test = strict().start().await;
    let ids = &test.ids_of(Kind::Eligible)[..5];
    let port = test.close_upstream().await;
    let purge = test.purge(ids).await;
    test.purge_when(purge, |body| body["blockedReason"]["code"] == "no_token").await;
    test.open_upstream(port).await;
    test.sandbox
        .sandbox()
        .patch_settings(json!({ "jobDuration": { "baseMs": 1500, "jitterMs": 0 } }))
        .unwrap();
    test.probe_now().await;
    test.purge_when(purge, |body| body["counts"]["submitted"] == 5).await;
    test.wait_until("the submit", async || test.calls(Call::Submit, "200") == 1).await;
    let port = test.close_upstream().await;
    test.wait_until("a fruitless poll", async || {
        test.number("select count(*) from jobs where state = 'submitted' and last_error is not null").await
            > 0
    })
    .await;
    test.open_upstream(port).await;

    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.log(Call::Submit).len(), 1);
    test.assert_purged_once(ids);
}
