//! Tables of answers, well-formed and not.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::domain::facts::{End, Facts, Presence};

const A: Uuid = Uuid::from_u128(0xa);
const B: Uuid = Uuid::from_u128(0xb);

fn read(answer: &Value) -> Result<Details, String> {
    details(answer.to_string().as_bytes(), &[A, B])
}

/// What is read of one record that has these fields beside its id.
fn read_one(mut record: Value) -> Facts {
    record["conversationId"] = json!(A.to_string().to_uppercase());
    read(&json!({ "data": [record] })).unwrap().facts.remove(&A).unwrap()
}

#[test]
fn any_mark_but_false_is_a_hold_and_gone_goes_before_held() {
    let cases = [
        (json!({}), Presence::Present),
        (json!({"customAttributes": null}), Presence::Present),
        (json!({"customAttributes": {}}), Presence::Present),
        (json!({"customAttributes": {"other": true}}), Presence::Present),
        (json!({"customAttributes": {"legal_hold": false}}), Presence::Present),
        (json!({"customAttributes": {"legal_hold": "false"}}), Presence::Present),
        (json!({"customAttributes": {"legal_hold": " FALSE "}}), Presence::Present),
        (json!({"customAttributes": {"legal_hold": true}}), Presence::Held),
        (json!({"customAttributes": {"legal_hold": "true"}}), Presence::Held),
        (json!({"customAttributes": {"legal_hold": "True"}}), Presence::Held),
        (json!({"customAttributes": {"legal_hold": ""}}), Presence::Held),
        (json!({"customAttributes": {"legal_hold": "no"}}), Presence::Held),
        (json!({"customAttributes": {"legal_hold": null}}), Presence::Held),
        (json!({"customAttributes": {"legal_hold": 0}}), Presence::Held),
        (json!({"customAttributes": {"legal_hold": 1}}), Presence::Held),
        (json!({"customAttributes": {"legal_hold": [false]}}), Presence::Held),
        (json!({"customAttributes": {"legal_hold": {}}}), Presence::Held),
        (json!({"customAttributes": "legal_hold"}), Presence::Held),
        (json!({"customAttributes": []}), Presence::Held),
        (json!({"customAttributes": [{"legal_hold": false}]}), Presence::Held),
        (json!({"conversationStatus": "completed"}), Presence::Present),
        (json!({"conversationStatus": 7}), Presence::Present),
        (json!({"conversationStatus": "deleted"}), Presence::Gone),
        (json!({"conversationStatus": "Purged"}), Presence::Gone),
        (json!({"conversationStatus": "DELETED", "customAttributes": {"legal_hold": true}}), Presence::Gone),
        (json!({"conversationStatus": "undeleted"}), Presence::Present),
    ];
    for (record, expected) in cases {
        assert_eq!(read_one(record.clone()).presence, expected, "{record}");
    }
}

#[test]
fn an_end_is_given_or_not_or_cannot_be_read() {
    let end = "2024-05-06T07:08:09.123Z".parse().unwrap();
    let cases = [
        (json!({}), End::NotYet),
        (json!({"conversationEnd": null}), End::NotYet),
        (json!({"conversationEnd": null, "conversationStatus": "completed"}), End::NotYet),
        (json!({"conversationEnd": "2024-05-06T07:08:09.123Z"}), End::At(end)),
        (json!({"conversationEnd": "2024-05-06T09:08:09.123+02:00"}), End::At(end)),
        (json!({"conversationEnd": "2024-05-06T07:08:09.123+0000"}), End::At(end)),
        (json!({"conversationEnd": "2024-05-06T07:08:09"}), End::Unreadable),
        (json!({"conversationEnd": "2024-05-06"}), End::Unreadable),
        (json!({"conversationEnd": ""}), End::Unreadable),
        (json!({"conversationEnd": "yesterday"}), End::Unreadable),
        (json!({"conversationEnd": 1_714_979_289}), End::Unreadable),
        (json!({"conversationEnd": false}), End::Unreadable),
    ];
    for (record, expected) in cases {
        assert_eq!(read_one(record.clone()).end, expected, "{record}");
    }
}

#[test]
fn an_end_that_its_start_contradicts_tells_no_age() {
    let (early, late) = ("1970-01-01T00:00:00Z", "2026-02-28T10:00:00Z");
    let at = |time: &str| End::At(time.parse().unwrap());
    let unsure = |time: &str| End::Unsure(time.parse().unwrap());
    let cases = [
        // start, end, expected
        (json!(late), json!(early), unsure(late)),
        (json!(early), json!(late), at(late)),
        (json!(late), json!(late), at(late)),
        (json!("2026-02-28T12:00:00+02:00"), json!(late), at(late)),
        (json!("2999-01-01T00:00:00Z"), json!(late), unsure("2999-01-01T00:00:00Z")),
        (json!(early), json!("2999-01-01T00:00:00Z"), at("2999-01-01T00:00:00Z")),
        (json!(null), json!(early), at(early)),
        (json!("yesterday"), json!(early), unsure(early)),
        (json!(0), json!(early), unsure(early)),
        (json!(late), json!("soon"), unsure(late)),
        (json!("soon"), json!("soon"), End::Unreadable),
        (json!(late), json!(null), End::NotYet),
        (json!("soon"), json!(null), End::NotYet),
    ];
    for (start, end, expected) in cases {
        let record = json!({"conversationStart": start, "conversationEnd": end});
        assert_eq!(read_one(record.clone()).end, expected, "{record}");
    }
}

#[test]
fn an_id_that_the_whole_answer_leaves_out_is_not_in_the_map() {
    assert_eq!(read(&json!({"data": []})), Ok(Details { facts: HashMap::new(), missing: None }));
    let answer = json!({"data": [{"conversationId": B}], "totalHits": 1, "cursor": null, "new": {}});
    let Details { facts, missing } = read(&answer).unwrap();
    assert_eq!((facts.into_keys().collect::<Vec<_>>(), missing), (vec![B], None));
}

#[test]
fn an_answer_that_says_it_is_not_whole_still_tells_of_what_it_contains() {
    for sign in [
        json!({"totalHits": 2}),
        json!({"cursor": "x"}),
        json!({"nextUri": "/x"}),
        json!({"partial": "true"}),
        json!({"errors": [{"conversationId": B, "message": "shard 3 timed out"}]}),
        json!({"_shards": {"total": 5, "successful": 4, "failed": 1}}),
    ] {
        let field = sign.as_object().unwrap().keys().next().unwrap().clone();
        let record =
            r#"{"conversationId": "00000000-0000-0000-0000-00000000000A", "conversationStatus": "deleted"}"#;
        // Before and after the records.
        for answer in [
            format!(r#"{{"{field}": {}, "data": [{record}]}}"#, sign[&field]),
            format!(r#"{{"data": [{record}], "{field}": {}}}"#, sign[&field]),
        ] {
            let Details { facts, missing } = details(answer.as_bytes(), &[A, B]).unwrap();
            assert_eq!(facts, HashMap::from([(A, Facts { presence: Presence::Gone, end: End::NotYet })]));
            assert!(missing.is_some_and(|why| why.starts_with("the answer is not complete")), "{answer}");
        }
    }
}

#[test]
fn an_answer_of_another_shape_is_no_answer() {
    let cases = [
        json!({}),
        json!([]),
        json!([[]]),
        json!(null),
        json!({"data": null}),
        json!({"data": {}}),
        json!({"data": "none"}),
        json!({"data": [null]}),
        json!({"data": [[A, "deleted", null, null]]}),
        json!({"data": [A]}),
        json!({"data": [{}]}),
        json!({"data": [{"conversationId": null}]}),
        json!({"data": [{"conversationId": 7}]}),
        json!({"data": [{"conversationId": "a"}]}),
        json!({"data": [{"conversationId": A}, {"conversationId": A}]}),
        json!({"data": [{"conversationId": A}, {"conversationId": Uuid::from_u128(0xc)}]}),
    ];
    for answer in cases {
        assert!(read(&answer).is_err(), "{answer}");
    }
    let cut = json!({"data": [{"conversationId": A}]}).to_string();
    for length in 0..cut.len() {
        assert!(details(&cut.as_bytes()[..length], &[A]).is_err(), "{}", &cut[..length]);
    }
    for body in [
        &b"<html></html>"[..],
        b"\xff\xfe",
        br#"{"data": []} trailing"#,
        br#"{"data": [], "data": []}"#,
        br#"{"data": [], "partial": }"#,
        br#"{"data": [{"conversationId": "00000000-0000-0000-0000-00000000000a", "conversationStatus": "deleted", "conversationStatus": "x"}]}"#,
    ] {
        assert!(details(body, &[A]).is_err(), "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn a_job_has_a_name_that_can_be_asked_for() {
    let long = "x".repeat(MAX_JOB_ID + 1);
    for (body, expected) in [
        (json!({"jobId": "j-1", "state": "pending"}), Some("j-1")),
        (json!({"jobId": "a/b?c"}), Some("a/b?c")),
        (json!({"jobId": ""}), None),
        (json!({"jobId": ".."}), None),
        (json!({"jobId": "a b"}), None),
        (json!({"jobId": long}), None),
        (json!({"jobId": 7}), None),
        (json!({"jobId": null}), None),
        (json!({}), None),
        (json!(["j-1"]), None),
    ] {
        let read = job_id(body.to_string().as_bytes()).ok();
        assert_eq!(read, expected.map(|id| UpstreamJobId(id.into())), "{body}");
    }
    assert!(job_id(b"").is_err());
}

#[test]
fn a_job_ends_only_in_a_state_that_says_so() {
    let working =
        |state: &str, records_processed| JobStatus::Working { state: state.into(), records_processed };
    let ended = |succeeded, state: &str, records_processed| JobStatus::Ended {
        succeeded,
        state: state.into(),
        records_processed,
    };
    let cases = [
        (json!({"jobId": "j", "state": "pending"}), Some(working("pending", None))),
        (json!({"state": "InProgress", "recordsProcessed": 7}), Some(working("InProgress", Some(7)))),
        (json!({"state": "cancelling"}), Some(working("cancelling", None))),
        (json!({"state": "COMPLETED", "recordsProcessed": 500}), Some(ended(true, "COMPLETED", Some(500)))),
        (json!({"state": "completed", "recordsProcessed": "500"}), Some(ended(true, "completed", None))),
        (json!({"state": "Failed", "recordsProcessed": null}), Some(ended(false, "Failed", None))),
        (json!({"jobId": "other", "state": "completed"}), None),
        (json!({"jobId": "j", "state": ""}), None),
        (json!({"jobId": "j", "state": 1}), None),
        (json!({"jobId": "j"}), None),
        (json!(["j", "completed", 1]), None),
    ];
    for (body, expected) in cases {
        assert_eq!(job_status(body.to_string().as_bytes(), "j").ok(), expected, "{body}");
    }
}

#[test]
fn what_is_said_of_a_shape_shows_no_values() {
    let said = details(br#"{"data": "s3cret"}"#, &[A]).unwrap_err();
    assert!(!said.contains("s3cret"), "{said}");
    let said = details(b"{}", &[A]).unwrap_err();
    assert!(said.starts_with("the answer does not have the expected shape: missing field `data`"), "{said}");
}
