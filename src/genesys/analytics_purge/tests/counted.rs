//! Each call is counted once, by the status of its answer or by why there was none.

use serde_json::json;

use super::*;

/// Asks for facts, and tells as what this was counted.
async fn counted(upstream: &RawUpstream, call: Duration, permit: Permit) -> Vec<String> {
    let meters = Meters::new([]);
    let timeouts = Timeouts { call, ..PATIENT };
    let driver = driver_with(&upstream.url, timeouts).measured(meters.clone());
    driver.ready(Lane::Query).await.unwrap();
    let _ = driver.facts(&[A], permit).await;
    let page = meters.page().to_string();
    let calls = page.lines().filter_map(|line| {
        line.strip_prefix("genesys_purge_upstream_calls_total{org=\"acme\",call=\"facts\",status=\"")
    });
    calls.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_call_is_counted_by_what_came_back() {
    let head = b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{\"data\"".to_vec();
    let cases = [
        (json_answer(200, &json!({ "data": [] })), PATIENT.call, "200\"} 1"),
        (json_answer(503, &json!({})), PATIENT.call, "503\"} 1"),
        (Act::AnswerAndClose(head.clone()), PATIENT.call, "broken_off\"} 1"),
        (Act::AnswerAndHang(head), Duration::from_secs(1), "broken_off\"} 1"),
        (Act::AnswerAndHang(vec![]), Duration::from_secs(1), "timeout\"} 1"),
        (Act::AnswerAndClose(vec![]), PATIENT.call, "no_answer\"} 1"),
    ];
    for (act, call, expected) in cases {
        let upstream = upstream(move |_| act.clone()).await;
        assert_eq!(counted(&upstream, call, permit()).await, [expected], "{expected}");
    }
}

#[tokio::test]
async fn a_call_that_was_not_written_and_one_that_was_dropped_are_told_apart() {
    let upstream = upstream(|_| Act::AnswerAndHang(vec![])).await;
    let ended = permit_for(Duration::ZERO);
    assert_eq!(counted(&upstream, PATIENT.call, ended).await, ["not_sent\"} 1"]);

    let meters = Meters::new([]);
    let driver = driver(&upstream).measured(meters.clone());
    driver.ready(Lane::Query).await.unwrap();
    let before = upstream.seen().len();
    tokio::select! {
        answer = driver.facts(&[A], permit()) => panic!("{answer:?}"),
        () = async { while upstream.seen().len() == before { tokio::task::yield_now().await; } } => {}
    }
    let page = meters.page().to_string();
    let cut = "genesys_purge_upstream_calls_total{org=\"acme\",call=\"facts\",status=\"cut\"} 1\n";
    assert!(page.contains(cut), "{page}");
}
