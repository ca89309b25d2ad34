//! An upstream that sends back what it was sent: none of it is kept.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::*;

const LONG_TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ0ZXN0In0.bm90LWEtc2lnbmF0dXJl";
const BASIC: &str = "b3VyLWNsaWVudDpvdXItczNjcmV0";

/// What may come back: as it stands, coded, and cut.
fn echoes() -> Vec<String> {
    let coded = |text: &str| BASE64_STANDARD.encode(text);
    vec![
        "our-s3cret".into(),
        coded("our-s3cret"),
        BASIC.into(),
        LONG_TOKEN.into(),
        coded(LONG_TOKEN),
        LONG_TOKEN[..30].into(),
    ]
}

/// An answer with the echo in every place from which something is kept.
fn echoing(status: u16, echo: &str) -> Act {
    let body = json!({
        "message": format!("You sent <{echo}>."), "code": echo, "contextId": echo, "state": echo, "scope": echo,
        "messageParams": {"permissions": [format!("a:b:{echo}")]}, "details": [{"entityId": echo}],
        "error": echo, "error_description": echo,
    });
    Act::Answer(answer(status, &[("inin-correlation-id", echo)], &body.to_string()))
}

fn assert_nothing_of(echo: &str, kept: &str) {
    let first = &echo[..echo.len().min(16)];
    assert!(!kept.contains(first), "{echo} in {kept}");
}

#[tokio::test]
async fn nothing_that_a_call_echoes_is_kept() {
    for status in [400, 401, 403, 404, 409, 410, 429, 500, 503] {
        for echo in echoes() {
            let said = echo.clone();
            let upstream = RawUpstream::start(move |seen| match seen.line.as_str() {
                TOKEN => {
                    json_answer(200, &json!({"access_token": LONG_TOKEN, "expires_in": 300, "scope": said}))
                }
                _ => echoing(status, &said),
            })
            .await;
            for failure in failures(&driver(&upstream)).await {
                let failure = failure.unwrap();
                assert_nothing_of(&echo, &format!("{failure} {failure:?}"));
                assert!(failure.detail().message.contains("You sent <[REDACTED]"), "{failure}");
            }
        }
    }
}

#[tokio::test]
async fn nothing_that_the_login_echoes_is_kept() {
    for status in [400, 401, 404, 429, 500, 503] {
        for echo in ["our-s3cret".to_owned(), BASE64_STANDARD.encode("our-s3cret"), BASIC.to_owned()] {
            let said = echo.clone();
            let upstream = RawUpstream::start(move |_| echoing(status, &said)).await;
            let failure = driver(&upstream).submit(&[A], permit()).await.result.unwrap_err();
            assert_nothing_of(&echo, &format!("{failure} {failure:?}"));
        }
    }
}

/// Echoed by a state that is stored and shown as upstream said it.
#[tokio::test]
async fn a_state_that_is_an_echo_is_kept_without_it_and_one_that_ends_the_job_still_does() {
    for (state, kept) in [(LONG_TOKEN, "[REDACTED]"), ("completed", "completed")] {
        let upstream = RawUpstream::start(move |seen| match seen.line.as_str() {
            TOKEN => json_answer(200, &json!({"access_token": LONG_TOKEN, "expires_in": 300})),
            _ => json_answer(200, &json!({"state": state})),
        })
        .await;
        match driver(&upstream).poll("j-1", permit()).await.result.unwrap() {
            JobStatus::Working { state, .. } => assert_eq!((state.as_str(), kept), ("[REDACTED]", kept)),
            JobStatus::Ended { state, .. } => assert_eq!((state.as_str(), kept), ("completed", kept)),
        }
    }
}

/// A secret of a few letters stands in many words, which must not change what they mean.
#[tokio::test]
async fn a_short_secret_changes_no_meaning() {
    let upstream = RawUpstream::start(|seen| match seen.line.as_str() {
        TOKEN => json_answer(200, &json!({"access_token": "e", "expires_in": 300})),
        PURGE => json_answer(200, &json!({"jobId": "there"})),
        DETAILS => {
            json_answer(200, &json!({"data": [{"conversationId": A, "conversationStatus": "deleted"}]}))
        }
        _ => json_answer(200, &json!({"state": "completed"})),
    })
    .await;
    let driver = driver(&upstream);
    assert_eq!(driver.submit(&[A], permit()).await.result, Ok(UpstreamJobId("there".into())));
    assert_eq!(driver.facts(&[A], permit()).await.result.unwrap().facts.len(), 1);
    let status = driver.poll("j-1", permit()).await.result;
    assert!(matches!(status, Ok(JobStatus::Ended { succeeded: true, .. })), "{status:?}");
}

#[tokio::test]
async fn what_upstream_calls_missing_is_told_without_echoes() {
    let body =
        json!({"message": "No.", "messageParams": {"permissions": format!("a:b:{LONG_TOKEN}, a:b:c")}});
    let upstream = RawUpstream::start(move |seen| match seen.line.as_str() {
        TOKEN => {
            json_answer(200, &json!({"access_token": LONG_TOKEN, "scope": ["a", LONG_TOKEN, Value::Null]}))
        }
        _ => json_answer(403, &body),
    })
    .await;
    match driver(&upstream).submit(&[A], permit()).await.result {
        Err(Failure::Forbidden { missing, .. }) => assert_eq!(
            missing,
            "missing permissions: a:b:c; the token has the scopes a, [REDACTED]; the scope needed is \
             analytics:conversation:delete"
        ),
        other => panic!("{other:?}"),
    }
}
