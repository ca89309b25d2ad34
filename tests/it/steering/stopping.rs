//! Stop and resume of an org: the operator's emergency stop.

use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::{Call, Kind};
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::time_in;
use crate::support::books::{assert_books, eventually};
use crate::support::problem::refused;
use crate::support::service::read;
use crate::support::{Setup, TestService};

async fn stop(test: &TestService, org: &str, body: Option<Value>) -> Value {
    let request = test.request(Method::POST, &format!("/orgs/{org}/stop")).header("x-request-id", "stop-1");
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let (status, body) = read(request.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

async fn resume(test: &TestService, org: &str) {
    let (status, body) = test.post(&format!("/orgs/{org}/resume"), &json!({})).await;
    assert_eq!((status, &body["stopped"]), (StatusCode::OK, &json!(null)), "{body}");
}

#[tokio::test]
async fn a_stopped_org_begins_nothing_follows_what_runs_and_goes_on_when_it_is_resumed() {
    let test = Setup::new()
        .sandbox(|org| org.job_duration.base_ms = 700)
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "1")
        .env("PURGE__ORGS__DEFAULT__MAX_BATCH", "5")
        .start()
        .await;
    let ids = test.ids_of(Kind::Eligible);
    let purge = test.purge(&ids[..20]).await;
    eventually("upstream has the first job", async || test.calls(Call::Submit, "200") == 1).await;
    let stopped = stop(&test, "default", Some(json!({ "reason": "wrong export" }))).await;
    assert_eq!(
        (&stopped["name"], &stopped["stopped"]["by"]),
        (&json!("default"), &json!("tester")),
        "{stopped}"
    );
    assert_eq!(stopped["stopped"]["reason"], "wrong export");
    let quiet_at = time_in(&stopped["quietAt"]);
    let latest = time_in(&stopped["stopped"]["since"]) + test.settings.engine.intent_ttl;
    assert!(quiet_at <= latest, "quiet at {quiet_at}");

    let dry = test.purge_with(json!({ "conversationIds": ids[20..23], "dryRun": true })).await;
    let body = test.purge_when(purge, |body| body["counts"]["submitted"] == 0).await;
    assert_eq!(body["blockedReason"]["code"], "org_stopped", "{body}");
    assert!(
        body["blockedReason"]["detail"].as_str().unwrap().contains("tester stopped the org: wrong export")
    );
    assert!(body["counts"]["purged"].as_u64().unwrap() >= 5, "what ran was followed to its end: {body}");
    assert_eq!(test.get(&format!("/purges/{dry}")).await["state"], "queued", "not even dry runs begin");
    assert_nothing_since(&test, Call::Submit, quiet_at);

    let again = stop(&test, "default", None).await;
    assert_eq!(again["stopped"], stopped["stopped"], "it says nothing new");
    resume(&test, "default").await;
    resume(&test, "default").await;
    assert_eq!(test.finished(purge).await["counts"]["purged"], 20);
    assert_eq!(test.finished(dry).await["counts"]["would_purge"], 3);
    let events: Vec<(String, String, Option<String>, Value)> = sqlx::query_as(
        "select type, actor, request_id, payload from events where type in ('org_stopped', 'org_resumed') order by at",
    )
    .fetch_all(&mut test.database.connect().await)
    .await
    .unwrap();
    assert_eq!(events.len(), 2, "one stop, one resume: {events:?}");
    let stopped = ("org_stopped".to_owned(), "tester".to_owned(), Some("stop-1".to_owned()));
    assert_eq!((events[0].0.clone(), events[0].1.clone(), events[0].2.clone()), stopped);
    assert_eq!(events[0].3, json!({ "reason": "wrong export" }));
    test.assert_no_breach();
    assert_books(&test).await;
}

fn assert_nothing_since(test: &TestService, call: Call, quiet_at: Timestamp) {
    let late: Vec<_> = test.log(call).into_iter().filter(|entry| entry.at > quiet_at).collect();
    assert!(late.is_empty(), "calls after {quiet_at}: {late:#?}");
}

#[tokio::test]
async fn whoever_stops_a_stopped_org_too_is_heard() {
    let test = Setup::new().start().await;
    let first = stop(&test, "default", Some(json!({ "reason": "maintenance" }))).await;
    let counsel = test.make_key_of("counsel", &[Scope::Admin], None).await;
    let order = |reason: Option<&str>| {
        let request = test.request_as(&counsel, Method::POST, "/orgs/default/stop");
        request.json(&json!({ "reason": reason }))
    };
    let mut told = Vec::new();
    for reason in [Some("a lawsuit"), Some("a lawsuit"), None, Some("two lawsuits")] {
        let (status, body) = read(order(reason).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        assert_eq!(body["stopped"]["since"], first["stopped"]["since"], "it was stopped all the time");
        assert_eq!(body["stopped"]["by"], "counsel");
        told.push(body["stopped"]["reason"].as_str().map(str::to_owned).unwrap());
    }
    assert_eq!(told, ["a lawsuit", "a lawsuit", "a lawsuit", "two lawsuits"]);
    let monitor = test.make_key_of("monitor", &[Scope::Admin], None).await;
    let (_, body) =
        read(test.request_as(&monitor, Method::POST, "/orgs/default/stop").send().await.unwrap()).await;
    assert_eq!(
        (&body["stopped"]["by"], &body["stopped"]["reason"]),
        (&json!("counsel"), &json!("two lawsuits")),
        "who has no reason takes none away"
    );
    let reasons: Vec<Option<String>> =
        sqlx::query_scalar("select payload ->> 'reason' from events where type = 'org_stopped' order by at")
            .fetch_all(&mut test.database.connect().await)
            .await
            .unwrap();
    let reasons: Vec<&str> = reasons.iter().map(|reason| reason.as_deref().unwrap_or("none")).collect();
    assert_eq!(reasons, ["maintenance", "a lawsuit", "two lawsuits", "none"], "each that said something new");
}

#[tokio::test]
async fn a_stop_outlives_a_restart_and_leaves_other_orgs_alone() {
    let mut test = Setup::new().second_org().start().await;
    stop(&test, "default", None).await;
    test.stop_service().await;
    test.start_service().await;
    let ids = test.ids_of(Kind::Eligible);
    let here = test.purge_with(json!({ "conversationIds": ids[..3], "org": "default" })).await;
    let abroad = test.purge_with(json!({ "conversationIds": ids[3..6], "org": "eu" })).await;
    assert_eq!(test.finished(abroad).await["counts"]["purged"], 3);
    let body = test.get(&format!("/purges/{here}")).await;
    assert_eq!(
        (&body["state"], &body["blockedReason"]["code"]),
        (&json!("queued"), &json!("org_stopped")),
        "{body}"
    );
    resume(&test, "default").await;
    assert_eq!(test.finished(here).await["counts"]["purged"], 3);
}

#[tokio::test]
async fn canceled_purges_end_in_a_stopped_org() {
    let test = TestService::start().await;
    stop(&test, "default", None).await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..3]).await;
    super::act(&test, purge, "cancel").await;
    assert_eq!(test.finished(purge).await["counts"]["canceled"], 3);
    assert_eq!(test.log(Call::Details).len(), 0);
}

#[tokio::test]
async fn only_an_admin_who_reaches_the_org_stops_it_with_a_body_that_makes_sense() {
    let test = Setup::new().second_org().start().await;
    let stranger = test.make_key(Scope::ALL, Some(&["eu"])).await;
    for path in ["/orgs/default/stop", "/orgs/default/resume"] {
        refused(test.request_as(&stranger, Method::POST, path), 404, "not_found").await;
        refused(test.request(Method::POST, &path.replace("default", "nowhere")), 404, "not_found").await;
        refused(test.request(Method::POST, &format!("{path}?force=true")), 400, "invalid_query").await;
    }
    let post = || test.request(Method::POST, "/orgs/default/stop");
    refused(post().json(&json!({ "reason": 7 })), 422, "invalid_request").await;
    refused(post().json(&json!({ "until": "tomorrow" })), 422, "invalid_request").await;
    refused(post().json(&json!({ "reason": "x".repeat(1001) })), 422, "invalid_request").await;
    refused(post().body("stop it"), 415, "unsupported_media_type").await;
    assert_eq!(test.number("select count(*) from orgs where stopped_at is not null").await, 0);
    // The brake takes a body of no bytes, however it is framed.
    let nothing =
        reqwest::Body::wrap_stream(futures_util::stream::empty::<Result<Vec<u8>, std::io::Error>>());
    assert_eq!(read(post().body(nothing).send().await.unwrap()).await.0, StatusCode::OK);
}
