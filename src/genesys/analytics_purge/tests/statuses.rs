//! The status table of upstream, over the wire, on every call.

use serde_json::{Value, json};

use super::*;

fn kind(failure: Option<&Failure>) -> &'static str {
    match failure {
        None => "ok",
        Some(Failure::NotSent(_)) => "not sent",
        Some(Failure::TokenRefused(_)) => "token refused",
        Some(Failure::Forbidden { .. }) => "forbidden",
        Some(Failure::Throttled { .. }) => "throttled",
        Some(Failure::Conflict { .. }) => "conflict",
        Some(Failure::Invalid(_)) => "invalid",
        Some(Failure::Refused(_)) => "refused",
        Some(Failure::WrongUpstream(_)) => "wrong upstream",
        Some(Failure::Missing(_)) => "missing",
        Some(Failure::Unknown(_)) => "unknown",
    }
}

/// The answer of an upstream that answers every call in this way.
async fn answers(status: u16, headers: &'static [(&str, &str)], body: String) -> [Option<Failure>; 3] {
    let upstream = upstream(move |_| Act::Answer(answer(status, headers, &body))).await;
    failures(&driver(&upstream)).await
}

#[tokio::test]
async fn every_row_of_the_status_table_means_what_it_says() {
    let rows: &[(u16, [&str; 3])] = &[
        (206, ["unknown"; 3]),
        (302, ["unknown"; 3]),
        (400, ["invalid"; 3]),
        (403, ["forbidden"; 3]),
        (404, ["wrong upstream", "wrong upstream", "missing"]),
        (405, ["wrong upstream", "wrong upstream", "refused"]),
        (408, ["unknown"; 3]),
        (409, ["refused", "conflict", "refused"]),
        (410, ["refused"; 3]),
        (413, ["invalid"; 3]),
        (422, ["invalid"; 3]),
        (429, ["throttled"; 3]),
        (500, ["unknown"; 3]),
        (501, ["wrong upstream", "wrong upstream", "refused"]),
        (502, ["unknown"; 3]),
        (503, ["unknown"; 3]),
        (504, ["unknown"; 3]),
    ];
    let json =
        json!({"message": "No.\nReally.", "code": "some.code", "status": 1, "contextId": "ctx"}).to_string();
    for (status, expected) in rows {
        for body in [json.as_str(), "<html>no</html>", "", "[1]"] {
            let found = answers(*status, &[("inin-correlation-id", "corr")], body.to_owned()).await;
            assert_eq!(found.each_ref().map(|failure| kind(failure.as_ref())), *expected, "{status} {body}");
            for (failure, call) in found.iter().flatten().zip(["details", "submit", "poll"]) {
                let detail = failure.detail();
                assert_eq!((detail.call, detail.status), (call, Some(*status)));
                assert_eq!(detail.correlation_id.as_deref(), Some("corr"));
                if body == json {
                    assert_eq!(detail.message, "No. Really.");
                    assert_eq!(detail.code.as_deref(), Some("some.code"));
                    assert_eq!(detail.context_id.as_deref(), Some("ctx"));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let upstream = upstream(|seen| {
        let to = seen.line.replace("api", "elsewhere").split_once(' ').unwrap().1.to_owned();
        Act::Answer(answer(307, &[("location", &to)], ""))
    })
    .await;
    let driver = driver(&upstream);
    for failure in failures(&driver).await {
        assert_eq!(kind(failure.as_ref()), "unknown");
    }
    assert!(upstream.seen().iter().all(|seen| !seen.line.contains("elsewhere")));
}

#[tokio::test]
async fn a_conflict_blames_only_ids_of_its_batch() {
    let stranger = Uuid::from_u128(0xc);
    let named =
        |details: Value| json!({"message": "protected", "code": "conflict", "details": details}).to_string();
    let cases = [
        (
            named(json!([{"entityId": B.to_string().to_uppercase(), "errorCode": "x"}, {"entityId": B}])),
            vec![B],
        ),
        (named(json!([{"entityId": stranger}, {"entityId": A}, {"entityId": "job"}, {}, null, 7])), vec![A]),
        (named(json!([{"entityId": stranger}])), vec![]),
        (named(json!([])), vec![]),
        (named(json!(null)), vec![]),
        ("<html>".to_owned(), vec![]),
    ];
    for (body, expected) in cases {
        match answers(409, &[], body.clone()).await {
            [_, Some(Failure::Conflict { named, .. }), _] => assert_eq!(named, expected, "{body}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_throttled_call_says_how_long_to_wait_if_upstream_did() {
    type Headers = &'static [(&'static str, &'static str)];
    let cases: &[(Headers, &str, Option<u64>)] = &[
        (&[("retry-after", "7")], "", Some(7)),
        (&[("retry-after", "0")], "", Some(1)),
        (&[("retry-after", "7"), ("retry-after", "9")], "", Some(9)),
        // By upstream's own clock, which is an hour ahead of ours.
        (
            &[("retry-after", "Sun, 01 Mar 2026 13:00:30 GMT"), ("date", "Sun, 01 Mar 2026 13:00:00 GMT")],
            "",
            Some(30),
        ),
        // By ours.
        (&[("retry-after", "Sun, 01 Mar 2026 12:00:40 GMT")], "", Some(40)),
        (&[("retry-after", "later")], r#"{"message": "Retry the request in [12] seconds"}"#, Some(12)),
        (&[], "", None),
    ];
    for (headers, body, expected) in cases {
        for failure in answers(429, headers, (*body).to_owned()).await {
            match failure {
                Some(Failure::Throttled { wait, .. }) => {
                    assert_eq!(wait, expected.map(Duration::from_secs), "{headers:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_forbidden_call_names_what_is_missing_and_what_is_there() {
    let body = json!({
        "message": "You are missing permissions", "code": "missing.permissions", "status": 403,
        "messageParams": {"permissions": "analytics:conversationDetail:view"},
    });
    let upstream = RawUpstream::start(move |seen| match seen.line.as_str() {
        TOKEN => json_answer(
            200,
            &json!({"access_token": "granted", "expires_in": 300, "scope": "analytics:readonly users"}),
        ),
        _ => json_answer(403, &body),
    })
    .await;
    match driver(&upstream).submit(&[A], permit()).await.result {
        Err(Failure::Forbidden { missing, .. }) => assert_eq!(
            missing,
            "missing permissions: analytics:conversationDetail:view; the token has the scopes analytics:readonly, \
             users; the scope needed is analytics:conversation:delete"
        ),
        other => panic!("{other:?}"),
    }
}
