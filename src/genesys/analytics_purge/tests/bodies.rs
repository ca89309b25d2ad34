//! Bodies that are garbage, slow, endless or cut.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_success_that_cannot_be_read_is_unknown_on_every_call() {
    let bodies =
        ["", "<html>ok</html>", "null", "[]", "{}", "\"ok\"", "{\"jobId\": \"j", "\u{0}\u{1}", "[[[[[[[["];
    for body in bodies {
        let upstream =
            upstream(move |_| Act::Answer(answer(200, &[("inin-correlation-id", "c")], body))).await;
        for failure in failures(&driver(&upstream)).await {
            match failure {
                Some(Failure::Unknown(detail)) => {
                    assert_eq!(
                        (detail.status, detail.correlation_id.as_deref()),
                        (Some(200), Some("c")),
                        "{body}"
                    );
                }
                other => panic!("{body}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn an_answer_nested_without_end_is_unknown() {
    let body = "[".repeat(1_000_000);
    let upstream = upstream(move |_| Act::Answer(answer(200, &[], &format!("{{\"data\": {body}")))).await;
    assert!(
        failures(&driver(&upstream)).await.iter().all(|found| matches!(found, Some(Failure::Unknown(_))))
    );
}

#[tokio::test]
async fn a_body_that_is_cut_or_chunked_into_junk_is_unknown() {
    let cases: [&'static [u8]; 3] = [
        b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{\"data\": []}",
        b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\nc\r\n{\"data\": []}\r\n",
        b"HTTP/1.1 200 X\r\ncontent-encoding: gzip\r\ncontent-length: 12\r\n\r\n{\"data\": []}",
    ];
    for bytes in cases {
        let upstream = upstream(move |_| Act::AnswerAndClose(bytes.to_vec())).await;
        let found = failures(&driver(&upstream)).await;
        assert!(found.iter().all(|found| matches!(found, Some(Failure::Unknown(_)))), "{found:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_given_up_on() {
    let long = format!("{{\"data\": [], \"x\": \"{}\"}}", "x".repeat(17 * 1024 * 1024));
    let upstream = upstream(move |_| Act::Answer(answer(200, &[], &long))).await;
    match driver(&upstream).facts(&[A], permit()).await.result {
        Err(Failure::Unknown(detail)) => {
            assert!(detail.message.contains("longer than"), "{}", detail.message);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_stops_coming_is_unknown_once_the_call_has_taken_its_time() {
    let timeouts = Timeouts { call: Duration::from_millis(500), ..PATIENT };
    for bytes in [&b""[..], b"HTTP/1.1 200 X\r\n", b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{\"data\""]
    {
        let upstream = upstream(move |_| Act::AnswerAndHang(bytes.to_vec())).await;
        let found = failures(&driver_with(&upstream.url, timeouts)).await;
        assert!(found.iter().all(|found| matches!(found, Some(Failure::Unknown(_)))), "{found:?}");
    }
}

/// The head has said what there is to say: a body that never ends takes nothing from it.
#[tokio::test]
async fn a_failure_means_what_its_status_says_even_without_its_body() {
    let timeouts = Timeouts { call: Duration::from_millis(500), ..PATIENT };
    let upstream = upstream(|_| {
        Act::AnswerAndHang(b"HTTP/1.1 429 X\r\nretry-after: 5\r\ncontent-length: 100\r\n\r\n{\"mess".to_vec())
    })
    .await;
    for found in failures(&driver_with(&upstream.url, timeouts)).await {
        match found {
            Some(Failure::Throttled { wait, .. }) => assert_eq!(wait, Some(Duration::from_secs(5))),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_about_something_else_is_unknown() {
    let upstream = upstream(|seen| match seen.line.as_str() {
        DETAILS => json_answer(200, &json!({"data": [{"conversationId": Uuid::from_u128(0xc)}]})),
        _ => json_answer(200, &json!({"jobId": "another", "state": "completed"})),
    })
    .await;
    let driver = driver(&upstream);
    assert!(matches!(driver.facts(&[A], permit()).await.result, Err(Failure::Unknown(_))));
    assert!(matches!(driver.poll("j-1", permit()).await.result, Err(Failure::Unknown(_))));
}

#[tokio::test]
async fn an_answer_that_is_not_whole_says_so_beside_what_it_tells() {
    let upstream = upstream(|_| {
        let body = json!({"data": [{"conversationId": A}], "errors": [{"conversationId": B}]}).to_string();
        Act::Answer(answer(200, &[("inin-correlation-id", "c")], &body))
    })
    .await;
    let told = driver(&upstream).facts(&[A, B], permit()).await.result.unwrap();
    assert_eq!(told.facts.into_keys().collect::<Vec<_>>(), [A]);
    let detail = told.incomplete.unwrap();
    assert_eq!(
        detail.to_string(),
        "details answered 200: the answer is not complete: it has errors (correlation id c)"
    );
}
