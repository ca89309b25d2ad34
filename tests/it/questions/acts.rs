//! The reason of an act, which stays visible after it was undone.

use genesys_purge::app::Role;
use genesys_purge::sandbox::Kind;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::Setup;
use crate::support::postgres::new_id;
use crate::support::problem::{pointers, refused};
use crate::support::service::read;

/// What was done, by whom and why; the last first.
fn told(body: &Value) -> Vec<(&str, &str, Option<&str>)> {
    let acts = body["acts"].as_array().unwrap();
    let told = acts.iter().map(|act| {
        assert!(act["at"].is_string(), "{act}");
        (act["act"].as_str().unwrap(), act["by"].as_str().unwrap(), act["reason"].as_str())
    });
    told.collect()
}

#[tokio::test]
async fn whoever_steers_a_purge_says_why_and_it_stays_with_the_purge_and_in_its_history() {
    let test = Setup::new().role(Role::Api).start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..2]).await;
    let steer = async |act: &str, body: Value| {
        let (status, body) = test.post(&format!("/purges/{purge}/{act}"), &body).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    };
    assert_eq!(told(&test.get(&format!("/purges/{purge}")).await), []);
    let paused = steer("pause", json!({ "reason": "a look first" })).await;
    assert_eq!(told(&paused), [("pause", "tester", Some("a look first"))]);
    // A caller of before sends no body, or an empty one.
    let resumed = test.request(Method::POST, &format!("/purges/{purge}/resume")).send().await.unwrap();
    let (status, resumed) = read(resumed).await;
    assert_eq!((status, &resumed["state"]), (StatusCode::OK, &json!("queued")));
    assert_eq!(told(&resumed), [("resume", "tester", None), ("pause", "tester", Some("a look first"))]);
    steer("pause", Value::Null).await;
    steer("resume", json!({ "reason": "the list is right" })).await;
    let canceled = steer("cancel", json!({ "reason": "asked by legal" })).await;
    let expected = [
        ("cancel", "tester", Some("asked by legal")),
        ("resume", "tester", Some("the list is right")),
        ("pause", "tester", None),
    ];
    assert_eq!(told(&canceled), expected, "the last of each kind");
    assert_eq!(told(&test.get(&format!("/purges/{purge}")).await), expected);
    assert_eq!(told(&test.get("/purges").await["items"][0]), expected);
    let events = test.get(&format!("/purges/{purge}/events")).await;
    let reasons: Vec<&str> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["payload"]["reason"].as_str())
        .collect();
    assert_eq!(reasons, ["a look first", "the list is right", "asked by legal"]);
}

#[tokio::test]
async fn a_reason_is_a_text_of_bounded_length_wherever_it_is_taken() {
    let test = Setup::new().role(Role::Api).start().await;
    let purge = test.purge(&[new_id()()]).await;
    let (_, hold) = test.post("/holds", &json!({ "matter": "M", "conversationIds": [new_id()()] })).await;
    let hold = hold["id"].as_str().unwrap().to_owned();
    let mut paths = vec![
        format!("/holds/{hold}/release"),
        "/orgs/default/stop".to_owned(),
        "/orgs/default/resume".to_owned(),
    ];
    paths.extend(["pause", "resume", "cancel", "retry"].map(|act| format!("/purges/{purge}/{act}")));
    for path in paths {
        let post = |body: &Value| test.request(Method::POST, &path).json(body);
        for reason in [json!("x".repeat(1001)), json!("a\0b"), json!(7), json!(["x"])] {
            let problem = refused(post(&json!({ "reason": reason })), 422, "invalid_request").await;
            assert_eq!(pointers(&problem), ["/reason"], "{path}");
        }
        let problem = refused(post(&json!({ "why": "x" })), 422, "invalid_request").await;
        assert_eq!(pointers(&problem), ["/why"], "{path}");
        refused(post(&json!([])), 422, "invalid_request").await;
    }
    assert_eq!(test.get(&format!("/purges/{purge}")).await["state"], "queued", "nothing was done");
    assert_eq!(test.get(&format!("/holds/{hold}")).await["active"], true);
    let hold = json!({ "matter": "M", "conversationIds": [new_id()()], "reason": "x".repeat(1001) });
    let problem = refused(test.request(Method::POST, "/holds").json(&hold), 422, "invalid_request").await;
    assert_eq!(pointers(&problem), ["/reason"]);
}

#[tokio::test]
async fn a_hold_keeps_why_it_was_made_and_why_it_was_released() {
    let test = Setup::new().role(Role::Api).start().await;
    let wish = |reason: Option<&str>| json!({ "matter": "M", "conversationIds": ["1b4e28ba-2fa1-4d2b-883f-0016d3cca427"], "externalId": "e", "reason": reason });
    let (status, made) = test.post("/holds", &wish(Some("a letter"))).await;
    assert_eq!((status, &made["reason"]), (StatusCode::CREATED, &json!("a letter")), "{made}");
    // It is found again whatever is said of it now: what protects is not to be refused for a word.
    for reason in [None, Some("another letter")] {
        let (status, again) = test.post("/holds", &wish(reason)).await;
        assert_eq!(
            (status, &again["id"], &again["reason"]),
            (StatusCode::OK, &made["id"], &json!("a letter"))
        );
    }
    let path = format!("/holds/{}", made["id"].as_str().unwrap());
    let (_, released) = test.post(&format!("{path}/release"), &json!({ "reason": "settled" })).await;
    for hold in [released, test.get(&path).await, test.get("/holds").await["items"][0].clone()] {
        assert_eq!(
            (&hold["reason"], &hold["releaseReason"], &hold["releasedBy"]),
            (&json!("a letter"), &json!("settled"), &json!("tester")),
            "{hold}"
        );
    }
    let (_, other) = test.post("/holds", &json!({ "matter": "N", "conversationIds": [new_id()()] })).await;
    let other = format!("/holds/{}/release", other["id"].as_str().unwrap());
    let (status, other) = read(test.request(Method::POST, &other).send().await.unwrap()).await;
    assert_eq!(
        (status, &other["reason"], &other["releaseReason"]),
        (StatusCode::OK, &Value::Null, &Value::Null)
    );
    let payloads: Vec<Value> = sqlx::query_scalar(
        "select payload from events where type in ('hold_created', 'hold_released') order by at",
    )
    .fetch_all(&mut test.database.connect().await)
    .await
    .unwrap();
    let reasons: Vec<_> = payloads.iter().map(|payload| payload["reason"].as_str()).collect();
    assert_eq!(reasons, [Some("a letter"), Some("settled"), None, None]);
}

#[tokio::test]
async fn who_stopped_an_org_stays_visible_when_it_goes_on() {
    let test = Setup::new().role(Role::Api).start().await;
    let post = async |act: &str, body: Value| {
        let (status, body) = test.post(&format!("/orgs/default/{act}"), &body).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    };
    assert_eq!(told(&test.get("/orgs/default").await), []);
    post("stop", json!({ "reason": "wrong export" })).await;
    let resumed = post("resume", json!({ "reason": "it was the right one" })).await;
    assert_eq!(resumed["stopped"], Value::Null);
    let expected =
        [("resume", "tester", Some("it was the right one")), ("stop", "tester", Some("wrong export"))];
    assert_eq!(told(&resumed), expected);
    // One that is not stopped goes on anyway, and nothing was done.
    post("resume", json!({ "reason": "once more" })).await;
    assert_eq!(told(&test.get("/orgs/default").await), expected);
    post("stop", Value::Null).await;
    assert_eq!(told(&test.get("/orgs").await["items"][0])[0], ("stop", "tester", None));
}

#[tokio::test]
async fn a_block_that_is_lifted_by_hand_keeps_the_reason() {
    let test = Setup::new().role(Role::Api).start().await;
    test.sql(
        "update orgs set blocked_call = 'conflicts', blocked_code = 'too_many_conflicts', blocked_detail = 'd',
                         blocked_at = now(), probe_at = now() + interval '1 hour'",
    )
    .await;
    let (_, org) = test.post("/orgs/default/resume", &json!({ "reason": "they are meant so" })).await;
    assert_eq!(
        (&org["blocked"], told(&org)),
        (&Value::Null, vec![("resume", "tester", Some("they are meant so"))])
    );
    let told = "select count(*) from events where type = 'org_resumed' and payload ->> 'reason' = 'they are meant so'";
    assert_eq!(test.number(told).await, 1);
}
