//! Tables of answers, well-formed and not.

use serde_json::{Value, json};

use super::*;

const A: Uuid = Uuid::from_u128(0xa);
const B: Uuid = Uuid::from_u128(0xb);

fn read(answer: &Value) -> Result<HashMap<Uuid, Facts>, String> {
    facts(answer.to_string().as_bytes(), &[A, B])
}

/// What is read of one record that has these fields beside its id.
fn read_one(mut record: Value) -> Facts {
    record["conversationId"] = json!(A.to_string().to_uppercase());
    read(&json!({ "data": [record] })).unwrap().remove(&A).unwrap()
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
fn an_id_that_the_whole_answer_leaves_out_is_not_in_the_map() {
    assert_eq!(read(&json!({"data": []})), Ok(HashMap::new()));
    let facts =
        read(&json!({"data": [{"conversationId": B}], "totalHits": 1, "cursor": null, "new": {}})).unwrap();
    assert_eq!(facts.into_keys().collect::<Vec<_>>(), [B]);
}

#[test]
fn an_answer_that_is_not_whole_is_no_answer() {
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
        json!({"data": [{"conversationId": A}], "totalHits": 2}),
        json!({"data": [{"conversationId": A}], "cursor": "x"}),
        json!({"data": [{"conversationId": A}], "nextUri": "/x"}),
    ];
    for answer in cases {
        assert!(read(&answer).is_err(), "{answer}");
    }
    let cut = json!({"data": [{"conversationId": A}]}).to_string();
    for length in 0..cut.len() {
        assert!(facts(&cut.as_bytes()[..length], &[A]).is_err(), "{}", &cut[..length]);
    }
    for body in [
        &b"<html></html>"[..],
        b"\xff\xfe",
        br#"{"data": []} trailing"#,
        br#"{"data": [], "data": []}"#,
        br#"{"data": [{"conversationId": "00000000-0000-0000-0000-00000000000a", "conversationStatus": "deleted", "conversationStatus": "x"}]}"#,
    ] {
        assert!(facts(body, &[A]).is_err(), "{}", String::from_utf8_lossy(body));
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
    let said = facts(br#"{"data": "s3cret"}"#, &[A]).unwrap_err();
    assert!(!said.contains("s3cret"), "{said}");
    let said = facts(b"{}", &[A]).unwrap_err();
    assert!(said.starts_with("the answer has not the agreed shape: missing field `data`"), "{said}");
}
