//! Steering: what an operator or a caller does to purges and orgs, and what it does not do.

mod asking;
mod canceling;
mod pausing;
pub mod races;
mod released;
mod retrying;
mod rewound;
mod stopping;
mod sweeping;

use genesys_purge::app::Role;
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::books::{count, eventually};
use crate::support::problem::refused;
use crate::support::service::read;
use crate::support::{Setup, TestService};

/// Does it to the purge, which must allow it.
async fn act(test: &TestService, purge: Uuid, act: &str) -> Value {
    let request = test.request(Method::POST, &format!("/purges/{purge}/{act}"));
    let (status, body) = read(request.header("x-request-id", format!("{act}-1")).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{act}: {body}");
    assert_eq!(body["id"], json!(purge));
    body
}

fn time_in(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// When upstream took each job that named the conversation.
fn submits(test: &TestService, id: Uuid) -> Vec<Timestamp> {
    test.sandbox.sandbox().conversation(id).unwrap().jobs.iter().map(|job| job.submitted_at).collect()
}

/// Type, actor and request id of the purge's events, in order.
async fn history(test: &TestService, purge: Uuid) -> Vec<(String, String, Option<String>)> {
    sqlx::query_as("select type, actor, request_id from events where purge_id = $1 order by event_no")
        .bind(purge)
        .fetch_all(&mut test.database.connect().await)
        .await
        .unwrap()
}

/// A job of these ids that upstream did not take for the moment, so that it waits, packed, for its next intent.
async fn packed(test: &TestService, body: Value) -> Uuid {
    test.fault(json!({ "call": "submit", "times": 1, "fault": { "retryAfter": "3" } }));
    let purge = test.purge_with(body).await;
    job_waits(test).await;
    purge
}

async fn job_waits(test: &TestService) {
    let mut connection = test.database.connect().await;
    eventually("a job waits for its next intent", async || {
        count(&mut connection, "select count(*) from jobs where state = 'waiting' and attempt = 1").await == 1
    })
    .await;
}

#[tokio::test]
async fn an_act_that_the_state_does_not_allow_changes_nothing_and_says_when_it_is_possible() {
    let test = TestService::start().await;
    let purge = test.purge(&test.ids_of(genesys_purge::sandbox::Kind::Eligible)[..2]).await;
    let done = test.finished(purge).await;
    assert_eq!(done["state"], "completed");
    for (act, possible) in [
        ("cancel", "awaiting_approval, queued, running, paused, canceling"),
        ("pause", "queued, running"),
        ("resume", "paused"),
        ("retry", "failed"),
    ] {
        let request = test.request(Method::POST, &format!("/purges/{purge}/{act}"));
        let problem = refused(request, 409, "wrong_state").await;
        let expected = format!("the purge is completed; {act} is only possible if it is {possible}");
        assert_eq!(problem["detail"], expected);
    }
    assert_eq!(test.get(&format!("/purges/{purge}")).await, done);
    assert_eq!(history(&test, purge).await.len(), 4, "accepted, started, one job, completed");
}

#[tokio::test]
async fn what_is_not_there_or_not_reached_can_not_be_steered() {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    let ids = [Uuid::from_u128(7)];
    let purge = test.purge_with(json!({ "conversationIds": ids, "org": "eu" })).await;
    let stranger = test.make_key(genesys_purge::domain::keys::Scope::ALL, Some(&["default"])).await;
    for act in ["cancel", "pause", "resume", "retry"] {
        for (key, id) in
            [(&stranger, purge.to_string()), (&test.key, ids[0].to_string()), (&test.key, "x".into())]
        {
            let request = test.request_as(key, Method::POST, &format!("/purges/{id}/{act}"));
            refused(request, 404, "not_found").await;
        }
        let request = test.request(Method::POST, &format!("/purges/{purge}/{act}?dryRun=true"));
        refused(request, 400, "invalid_query").await;
    }
    assert_eq!(test.get(&format!("/purges/{purge}")).await["state"], "queued");
}
