//! A purge as a stream.

use std::time::{Duration, Instant};

use genesys_purge::app::{Role, Service, World};
use genesys_purge::sandbox::Kind;
use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::listen;
use crate::support::postgres::new_id;
use crate::support::problem::{pointers, refused};
use crate::support::stream::{Message, Stream};
use crate::support::{Setup, TestService};

fn of_kind<'a>(messages: &'a [Message], kind: &'a str) -> impl Iterator<Item = &'a Message> {
    messages.iter().filter(move |message| message.kind == kind)
}

fn events(messages: &[Message]) -> Vec<Value> {
    messages.iter().filter(|message| message.id.is_some()).map(|message| message.data.clone()).collect()
}

async fn history(test: &TestService, purge: Uuid) -> Vec<Value> {
    let page = test.get(&format!("/purges/{purge}/events?limit=1000")).await;
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_purge_is_told_from_its_first_event_to_its_last() {
    let test = Setup::new()
        .env("PURGE__ORGS__DEFAULT__MAX_BATCH", "10")
        .sandbox(|org| org.job_duration.base_ms = 1200)
        .start()
        .await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..60]).await;
    let mut stream = listen(&test, purge, None).await;
    let (mut messages, mut came) = (Vec::new(), Vec::new());
    while let Some(message) = stream.next().await {
        if message.kind == "counts" {
            came.push(Instant::now());
        }
        messages.push(message);
    }
    assert_eq!(events(&messages), history(&test, purge).await);
    for message in messages.iter().filter(|message| message.id.is_some()) {
        assert_eq!(message.data["eventNo"], message.no());
        assert_eq!(message.data["type"], message.kind.as_str());
    }
    let body = test.get(&format!("/purges/{purge}")).await;
    let end = messages.last().unwrap();
    assert_eq!((end.kind.as_str(), &end.id), ("end", &None));
    assert_eq!(end.data, json!({ "state": "completed", "run": 1, "counts": body["counts"] }));

    let counts: Vec<&Message> = of_kind(&messages, "counts").collect();
    assert!(counts.len() >= 3, "{messages:#?}");
    assert_eq!(counts.last().unwrap().data, end.data, "the last counts are those of the end");
    assert!(counts.windows(2).all(|pair| pair[0].data != pair[1].data), "told where something changed");
    // A network may bring two closer together, but not all.
    let (first, last) = (came[1], came[came.len() - 1]);
    let least = Duration::from_millis(500) * u32::try_from(came.len() - 2).unwrap();
    assert!(last - first + Duration::from_millis(250) >= least, "{came:?}");

    for job in test.jobs(purge).await {
        let told: Vec<&str> = of_kind(&messages, "job")
            .filter(|message| message.data["id"] == job["id"])
            .map(|message| message.data["state"].as_str().unwrap())
            .collect();
        assert!(told.contains(&"submitted"), "{told:?}");
        let ended =
            of_kind(&messages, "purge_job_completed").filter(|message| message.data["jobId"] == job["jobId"]);
        assert_eq!(ended.count(), 1);
    }
}

#[tokio::test]
async fn who_comes_again_goes_on_where_he_was_until_there_is_nothing_more() {
    let test = Setup::new().env("PURGE__ORGS__DEFAULT__MAX_BATCH", "2").start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..80]).await;
    let (mut seen, mut turn) = (Vec::new(), 0);
    let status = loop {
        let last = seen.last().map(|event: &Value| event["eventNo"].to_string());
        let mut request =
            test.request(Method::GET, &format!("/purges/{purge}/events")).header(ACCEPT, "text/event-stream");
        if let Some(last) = &last {
            request = request.header("Last-Event-ID", last);
        }
        let status = request.send().await.unwrap().status();
        if status != StatusCode::OK {
            break status;
        }
        let mut stream = listen(&test, purge, last.as_deref()).await;
        turn += 1;
        let mut left = turn * 5 % 7 + 1;
        while left > 0
            && let Some(message) = stream.next().await
        {
            if message.id.is_some() {
                seen.push(message.data);
                left -= 1;
            }
        }
    };
    assert_eq!(status, StatusCode::NO_CONTENT);
    let history = history(&test, purge).await;
    assert!(history.len() > 40);
    assert_eq!(seen, history);
    let mut whole = listen(&test, purge, None).await;
    assert_eq!(events(&whole.rest().await), history, "a purge that is final is told, too");
}

#[tokio::test]
async fn what_another_process_does_is_told_and_a_paused_purge_is_waited_for() {
    let mut test = Setup::new().role(Role::Api).start().await;
    let worker = Service::start(&test.settings, &World::machine(), &test.database.place(), Role::Worker)
        .await
        .unwrap();
    test.sql("update orgs set stopped_at = now(), stopped_by = 'tester'").await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..3]).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(listen(&test, purge, None).await);
    }
    for act in ["pause", "resume"] {
        let (status, _) = test.post(&format!("/purges/{purge}/{act}"), &json!({})).await;
        assert_eq!(status, StatusCode::OK);
    }
    for stream in &mut streams {
        stream.until(|message| message.kind == "purge_resumed").await;
    }
    test.sql("update orgs set stopped_at = null, stopped_by = null").await;
    for mut stream in streams {
        let rest = stream.rest().await;
        assert_eq!(rest.last().unwrap().kind, "end");
        assert_eq!(of_kind(&rest, "purge_completed").count(), 1, "{rest:#?}");
    }
    worker.stop().await;
    test.stop_service().await;
}

#[tokio::test]
async fn a_stream_of_no_purge_or_of_part_of_one_is_refused() {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    let purge = test.purge_with(json!({ "conversationIds": [new_id()()], "org": "default" })).await;
    let stream = |path: &str| test.request(Method::GET, path).header(ACCEPT, "text/event-stream");
    let path = format!("/purges/{purge}/events");
    for (query, pointer) in [("limit=3", "?limit"), ("cursor=x", "?cursor"), ("since=1", "?since")] {
        let problem = refused(stream(&format!("{path}?{query}")), 400, "invalid_query").await;
        assert_eq!(pointers(&problem), [pointer]);
    }
    for wrong in ["x", "-1", "2", "99999999999"] {
        refused(stream(&path).header("Last-Event-ID", wrong), 400, "invalid_header").await;
    }
    refused(stream(&format!("/purges/{}/events", new_id()())), 404, "not_found").await;
    let scopes = genesys_purge::domain::keys::Scope::ALL;
    let eu = test.make_key(scopes, Some(&["eu"])).await;
    refused(test.request_as(&eu, Method::GET, &path).header(ACCEPT, "text/event-stream"), 404, "not_found")
        .await;
    refused(test.request(Method::GET, &path).header(ACCEPT, "text/html"), 406, "not_acceptable").await;
    let json = test.request(Method::GET, &path).header(ACCEPT, "text/event-stream;q=0.5, application/json");
    let answer: Value = json.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["items"].as_array().unwrap().len(), 1);
    let _: Stream = listen(&test, purge, Some("0")).await;
}
