//! Calls that go wrong on order, seen from the caller's end of the socket.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::super::{Call, Ending};
use super::*;

/// Ends when it is so, at the next look; panics where it never becomes so.
async fn until(is_so: impl Fn() -> bool) {
    let watch = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), watch).await.expect("it never became so");
}

async fn until_hung(stage: &Stage, count: u64) {
    let ends = || stage.sandbox().report(0, 500).counts.remove(&Call::Submit).unwrap_or_default();
    until(|| ends().get("hung") == Some(&count)).await;
}

fn last_ending(stage: &Stage) -> Ending {
    stage.sandbox().report(1, 500).last[0].status
}

#[tokio::test]
async fn a_status_comes_instead_of_the_work_or_after_it() {
    let stage = Stage::set(plain()).await;
    let ids = stage.some(Kind::Eligible, 2);
    stage.fault(
        json!({"call": "submit", "times": 1, "fault": {"status": 503, "headers": {"X-Note": "before"}}}),
    );
    stage.fault(
        json!({"call": "submit", "times": 1, "when": "after", "fault": {"status": 504, "body": "<gateway>"}}),
    );
    let before = stage.submit(&ids[..1]).await;
    assert_eq!((before.status, before.header("x-note")), (503, Some("before")));
    assert_eq!(before.body["code"], "service.unavailable");
    assert_eq!(stage.sandbox().truth().live_jobs, 0);
    assert_eq!(stage.submit(&ids[1..]).await.status, 504);
    assert_eq!(stage.sandbox().truth().live_jobs, 1, "the job is there all the same");
    assert_eq!(stage.submit(&ids[..1]).await.status, 200, "the rules are used up");
}

#[tokio::test]
async fn a_reset_is_an_error_of_the_connection_and_after_means_that_the_job_exists() {
    let stage = Stage::set(plain()).await;
    let ids = stage.some(Kind::Eligible, 2);
    for (when, id, live) in [("before", ids[0], 0), ("after", ids[1], 1)] {
        stage.fault(json!({"call": "submit", "times": 1, "fault": {"reset": when}}));
        let error = stage.submit_request(&[id]).send().await.unwrap_err();
        assert!(error.is_request() && !error.is_connect() && !error.is_timeout(), "{error:?}");
        let chain = format!("{error:?}");
        assert!(chain.contains("ConnectionReset") || chain.contains("IncompleteMessage"), "{chain}");
        assert_eq!(stage.sandbox().truth().live_jobs, live, "{when}");
        assert_eq!(last_ending(&stage), Ending::Reset);
    }
    let carried = stage.sandbox().conversation(ids[1]).unwrap();
    assert_eq!(carried.jobs.len(), 1);
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(stage.sandbox().truth().deleted, 1);
    assert_eq!(stage.sandbox().report(0, 500).counts[&Call::Submit]["reset"], 2);
}

#[tokio::test]
async fn a_reset_is_a_reset_of_tcp_and_no_orderly_end() {
    let stage = Stage::set(plain()).await;
    stage.fault(json!({"call": "token", "fault": {"reset": "before"}}));
    let mut socket = tokio::net::TcpStream::connect(stage.running.addr()).await.unwrap();
    socket
        .write_all(b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    let ended = socket.read(&mut [0; 64]).await;
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_reset_hurts_its_own_connection_alone() {
    let stage = Stage::set(plain()).await;
    let ids = stage.some(Kind::Eligible, 1);
    stage.fault(json!({"call": "details", "times": 1, "after": 1, "fault": {"reset": "before"}}));
    stage.fault(json!({"call": "submit", "times": 1, "when": "after", "fault": {"delayMs": 200}}));
    let slow = tokio::spawn(stage.submit_request(&ids).send());
    assert_eq!(stage.details(&ids).await.status, 200);
    assert!(stage.details_request(&ids).send().await.is_err());
    assert_eq!(slow.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn garbage_takes_many_forms() {
    let stage = Stage::set(plain()).await;
    let ids = stage.some(Kind::Eligible, 3);
    for (form, check) in [
        ("html", (|text| text.starts_with("<!DOCTYPE html>")) as fn(&str) -> bool),
        ("cutJson", |text| text.starts_with("{\"data\":[") && serde_json::from_str::<Value>(text).is_err()),
        ("empty", str::is_empty),
        ("wrongShape", |text| serde_json::from_str::<Value>(text).is_ok_and(|json| json["data"] == "none")),
        ("incomplete", |text| {
            let json: Value = serde_json::from_str(text).unwrap();
            json["data"].as_array().unwrap().len() == 2 && json["errors"].is_array()
        }),
    ] {
        stage.fault(json!({"call": "details", "times": 1, "fault": {"garbage": form}}));
        let answer = stage.details_request(&ids).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        assert!(check(&text), "{form}: {text}");
    }
    stage.fault(json!({"call": "details", "times": 1, "fault": {"garbage": "cutBody"}}));
    let cut = async { stage.details_request(&ids).send().await?.bytes().await };
    assert!(cut.await.is_err(), "the body ends before its length");
    assert_eq!(last_ending(&stage), Ending::Cut(200));
}

#[tokio::test]
async fn a_call_that_hangs_ends_with_its_caller_or_with_the_server() {
    let stage = Stage::set(plain()).await;
    let ids = stage.some(Kind::Eligible, 1);
    stage.fault(json!({"call": "submit", "when": "after", "fault": {"hang": true}}));
    let impatient = tokio::spawn(stage.submit_request(&ids).send());
    until_hung(&stage, 1).await;
    assert_eq!((stage.sandbox().truth().live_jobs, last_ending(&stage)), (1, Ending::Hung));
    impatient.abort();
    let patient = tokio::spawn(stage.submit_request(&ids).send());
    until_hung(&stage, 2).await;
    let Stage { running, .. } = stage;
    tokio::time::timeout(Duration::from_secs(2), running.stop()).await.expect("stops at once");
    assert!(patient.await.unwrap().is_err());
}

#[tokio::test]
async fn a_delayed_submit_is_worked_on_although_its_caller_left() {
    let stage = Stage::set(plain()).await;
    stage.fault(json!({"call": "submit", "fault": {"delayMs": 1000}}));
    let request = stage.submit_request(&stage.some(Kind::Eligible, 1)).timeout(Duration::from_millis(100));
    assert!(request.send().await.unwrap_err().is_timeout());
    assert_eq!(stage.sandbox().truth().live_jobs, 0);
    until(|| stage.sandbox().truth().live_jobs == 1).await;
}

#[tokio::test]
async fn a_raw_retry_after_is_sent_as_it_stands_and_held_against_callers_only_where_it_means_something() {
    let stage = Stage::set(plain()).await;
    let ids = stage.some(Kind::Eligible, 1);
    for (raw, counts) in [(json!("-5"), false), (json!("soon"), false), (json!(["soon", "7"]), true)] {
        stage.sandbox().forget_calls();
        stage.fault(json!({"call": "details", "times": 1, "fault": {"retryAfter": raw}}));
        let answer = stage.details(&ids).await;
        let sent: Vec<_> =
            answer.headers.get_all("retry-after").iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(answer.status, 429);
        assert_eq!(sent.len(), raw.as_array().map_or(1, Vec::len));
        stage.clock.advance(Duration::from_secs(2));
        assert_eq!(stage.details(&ids).await.status, 200);
        assert_eq!(stage.breaches() == [Rule::CallBeforeRetryAfter], counts, "{raw}");
    }
}

#[tokio::test]
async fn the_token_call_goes_wrong_on_order_too() {
    let stage = Stage::set(plain()).await;
    stage.fault(json!({"call": "token", "times": 1, "fault": {"garbage": "wrongShape"}}));
    let answer = stage.ask_token("sandbox-client", "sandbox-secret", "client_credentials").await;
    assert_eq!((answer.status, &answer.body["access_token"]), (200, &Value::Null));
}
