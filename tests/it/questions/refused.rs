//! A submit that Genesys refused: the history names no upstream job for it, and has the answer.

use genesys_purge::app::Role;
use genesys_purge::sandbox::{Call, Kind, Shares};
use serde_json::{Value, json};

use crate::support::Setup;
use crate::support::postgres::new_id;
use crate::support::trouble::strikes;

/// The decisions about one conversation: outcome, code, detail and Genesys' id.
async fn story(test: &crate::support::TestService, id: uuid::Uuid) -> Vec<(String, String, Value, Value)> {
    let story = test.get(&format!("/conversations/{id}")).await;
    let decisions = story["purges"][0]["decisions"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    decisions
        .map(|row| (text(&row["to"]), text(&row["code"]), row["detail"].clone(), row["jobId"].clone()))
        .collect()
}

#[tokio::test]
async fn a_submit_that_was_refused_names_no_job_and_says_what_was_answered() {
    let shares = Shares { eligible: 0.8, conflict_named: 0.2, ..Shares::none() };
    let test = Setup::new().sandbox(|org| org.shares = shares).start().await;
    test.fault(strikes("submit", 1, &json!({ "status": 429, "retryAfter": "1" })));
    let (good, bad) = (test.ids_of(Kind::Eligible)[0], test.ids_of(Kind::ConflictNamed)[0]);
    let purge = test.purge(&[good, bad]).await;
    test.finished(purge).await;
    assert_eq!(test.calls(Call::Submit, "200"), 1);

    let told = story(&test, good).await;
    let path: Vec<&str> = told.iter().map(|(.., code, _, _)| code.as_str()).collect();
    let expected = ["eligible", "intent", "not_submitted", "intent", "not_submitted", "intent", "gone"];
    assert_eq!(path, expected, "{told:?}");
    let jobs: Vec<bool> = told.iter().map(|(.., job)| job.is_string()).collect();
    assert_eq!(jobs, [false, false, false, false, false, true, true], "{told:?}");
    let answers: Vec<&str> = [2, 4].map(|nth: usize| told[nth].2.as_str().unwrap_or_default()).to_vec();
    assert!(answers[0].starts_with("429: ") && answers[1].starts_with("409: "), "{answers:?}");

    let told = story(&test, bad).await;
    let (outcome, code, detail, job) = told.last().unwrap();
    assert_eq!((outcome.as_str(), code.as_str(), job), ("on_hold", "upstream_conflict", &Value::Null));
    assert!(detail.as_str().unwrap().starts_with("409: "), "{detail}");
    assert!(told.iter().all(|(.., job)| job.is_null()), "Genesys never took it: {told:?}");
}

#[tokio::test]
async fn a_submit_that_was_lost_names_no_job_though_the_next_one_has_one() {
    let test = Setup::new().start().await;
    test.fault(strikes("submit", 1, &json!({ "reset": "before" })));
    let id = test.ids_of(Kind::Eligible)[0];
    let purge = test.purge(&[id]).await;
    assert_eq!(test.finished(purge).await["counts"]["purged"], 1);
    let told = story(&test, id).await;
    let jobs: Vec<(&str, bool)> =
        told.iter().map(|(_, code, _, job)| (code.as_str(), job.is_string())).collect();
    let lost = jobs.iter().position(|(code, _)| *code == "intent").unwrap();
    assert!(!jobs[lost].1, "{told:?}");
    let last = jobs.last().unwrap();
    assert_eq!(*last, ("gone", true), "{told:?}");
}

#[tokio::test]
async fn what_a_lost_submit_deleted_is_not_put_down_to_the_submit_of_the_rest() {
    let test = Setup::new().role(Role::Api).start().await;
    let (lost, sent) = (new_id()(), new_id()());
    let purge = test.purge(&[lost, sent]).await;
    let job = new_id()();
    test.sql(&format!(
        "insert into jobs (id, org, state, result, finished_at, size, upstream_job_id)
         values ('{job}', 'default', 'done', 'completed', now(), 1, 'the-second')"
    ))
    .await;
    // Both were in the submit that was lost; one was found gone, and the other went again.
    for (positions, from, to, step, code) in [
        ("{0,1}", 1, 2, "intend", "intent"),
        ("{0}", 2, 3, "reread", "gone_after_lost_submit"),
        ("{1}", 2, 1, "reread", "present_after_lost_submit"),
        ("{1}", 1, 2, "intend", "intent"),
        ("{1}", 2, 3, "verify", "gone"),
    ] {
        test.sql(&format!(
            "insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, job_id, code, decided_at)
             values ('{purge}', 0, 1, '{positions}', {from}, {to}, '{step}', '{job}', '{code}', now())"
        ))
        .await;
    }
    let rows = test.conversations(purge).await;
    let told: Vec<&Value> = rows.iter().map(|row| &row["jobId"]).collect();
    assert_eq!(told, [&Value::Null, &json!("the-second")]);
    let jobs =
        async |id| -> Vec<bool> { story(&test, id).await.iter().map(|(.., job)| job.is_string()).collect() };
    assert_eq!(jobs(lost).await, [false, false]);
    assert_eq!(jobs(sent).await, [false, false, true, true]);
}
