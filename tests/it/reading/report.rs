//! `GET /purges/{id}/report`: both forms, what is accepted, and going on after any row.

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{OUTCOMES, mixed};
use crate::support::problem::{pointers, refused};
use crate::support::{Setup, TestService};

const HEAD: &str = "conversationId,outcome,code,detail,jobId,decidedAt,holdId,matter,holdCount";
const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";

/// Downloads a report, which must be whole.
async fn download(test: &TestService, path: &str, accept: &str) -> String {
    let response = test.request(Method::GET, path).header(ACCEPT, accept.to_owned()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(media_type.starts_with(accept), "{media_type}");
    response.text().await.unwrap()
}

/// The objects of an NDJSON report.
fn objects(report: &str) -> Vec<Value> {
    assert!(report.is_empty() || report.ends_with('\n'));
    report.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The records of a CSV report, as a reader that knows nothing of this service reads them.
fn records(report: &str) -> Vec<Vec<String>> {
    let (mut reader, mut records) = (csv_core::Reader::new(), Vec::new());
    let (mut input, mut fields, mut ends) = (report.as_bytes(), vec![0; 100_000], vec![0; 100]);
    loop {
        let (result, read, _, ended) = reader.read_record(input, &mut fields, &mut ends);
        input = &input[read..];
        match result {
            csv_core::ReadRecordResult::Record => {
                let mut from = 0;
                let field = |end: &usize| {
                    let field = fields[from..*end].to_vec();
                    from = *end;
                    String::from_utf8(field).unwrap()
                };
                records.push(ends[..ended].iter().map(field).collect());
            }
            csv_core::ReadRecordResult::End => return records,
            csv_core::ReadRecordResult::InputEmpty => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The record that an item of `GET /purges/{id}/conversations` should be.
fn record(item: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    HEAD.split(',').map(|field| text(&item[field])).collect()
}

#[tokio::test]
async fn both_forms_tell_what_the_list_of_conversations_tells_in_the_order_of_the_request() {
    let (test, mut ids) = mixed().await;
    ids.sort_unstable_by(|a, b| b.cmp(a));
    let purge = test.purge(&ids).await;
    test.finished(purge).await;
    let items = test.conversations(purge).await;
    let path = format!("/purges/{purge}/report");
    assert_eq!(objects(&download(&test, &path, NDJSON).await), items);
    let csv = download(&test, &path, CSV).await;
    let expected: Vec<Vec<String>> = items.iter().map(record).collect();
    let read = records(&csv);
    assert_eq!(read[0], HEAD.split(',').collect::<Vec<_>>());
    assert_eq!(read[1..], expected);
    assert_eq!(csv.matches("\r\n").count(), 101, "each line ends with CR and LF");
    let mut seen = 0;
    for outcome in OUTCOMES {
        let wanted: Vec<Value> = items.iter().filter(|item| item["outcome"] == outcome).cloned().collect();
        let path = format!("{path}?outcome={outcome}");
        assert_eq!(objects(&download(&test, &path, NDJSON).await), wanted, "{outcome}");
        let csv = records(&download(&test, &path, CSV).await);
        assert_eq!(csv[1..], wanted.iter().map(record).collect::<Vec<_>>(), "{outcome}");
        seen += wanted.len();
    }
    assert_eq!(seen, 100);
}

#[tokio::test]
async fn after_any_row_the_report_goes_on_with_exactly_the_rest() {
    let test = Setup::new().role(Role::Api).start().await;
    let ids: Vec<Uuid> = (1..=2100).rev().map(Uuid::from_u128).collect();
    let purge = test.purge(&ids).await;
    let path = format!("/purges/{purge}/report");
    let whole: Vec<String> =
        download(&test, &path, CSV).await.split_inclusive("\r\n").map(str::to_owned).collect();
    let objects_of_whole = objects(&download(&test, &path, NDJSON).await);
    assert_eq!((whole.len(), objects_of_whole.len()), (2101, 2100));
    // Around the borders of slices and of what is read at once.
    for have in [1, 2, 499, 500, 501, 1000, 1999, 2000, 2001, 2099, 2100] {
        let last = ids[have - 1];
        let (path, rest) = (format!("{path}?cursor={last}"), whole[have + 1..].concat());
        let response = test.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8; header=absent");
        assert_eq!(response.text().await.unwrap(), rest, "after row {have}");
        assert_eq!(objects(&download(&test, &path, NDJSON).await), objects_of_whole[have..], "{have}");
    }
    let filtered = format!("{path}?outcome=pending&cursor={}", ids[1500].to_string().to_uppercase());
    assert_eq!(objects(&download(&test, &filtered, NDJSON).await), objects_of_whole[1501..]);
    let filtered = format!("{path}?outcome=purged&cursor={}", ids[1500]);
    assert_eq!(download(&test, &filtered, NDJSON).await, "", "no row has that outcome");
}

#[tokio::test]
async fn a_cursor_that_names_no_row_of_the_report_is_refused() {
    let test = Setup::new().role(Role::Api).start().await;
    let (one, other) = (test.purge(&[Uuid::from_u128(1)]).await, test.purge(&[Uuid::from_u128(2)]).await);
    let list = test.get(&format!("/purges/{one}/conversations?limit=1")).await;
    assert_eq!(list["nextCursor"], Value::Null);
    for (purge, query, told) in [
        (one, format!("cursor={}", Uuid::from_u128(2)), "cursor"),
        (other, format!("cursor={}", Uuid::from_u128(1)), "cursor"),
        (one, "cursor=".to_owned(), "cursor"),
        (one, "cursor=1".to_owned(), "cursor"),
        (one, "cursor=%00".to_owned(), "cursor"),
        (one, "outcome=gone".to_owned(), "outcome"),
        (one, "outcome=purged&outcome=failed".to_owned(), "outcome"),
        (one, "limit=1".to_owned(), "limit"),
        (one, format!("after={}", Uuid::from_u128(1)), "after"),
    ] {
        let request = test.request(Method::GET, &format!("/purges/{purge}/report?{query}"));
        let problem = refused(request, 400, "invalid_query").await;
        assert_eq!(pointers(&problem), [format!("?{told}")], "{query}: {problem}");
    }
}

#[tokio::test]
async fn the_form_is_the_one_that_is_accepted_and_csv_where_all_are() {
    let test = Setup::new().role(Role::Api).start().await;
    let purge = test.purge(&[Uuid::from_u128(1)]).await;
    let ask = |accept: Option<&str>| {
        let request = test.request(Method::GET, &format!("/purges/{purge}/report"));
        accept.iter().fold(request, |request, accept| request.header(ACCEPT, (*accept).to_owned()))
    };
    let csv = "text/csv; charset=utf-8; header=present";
    for (accept, media_type) in [
        (None, csv),
        (Some("*/*"), csv),
        (Some("text/*"), csv),
        (Some("text/html, text/csv;q=0.9, */*;q=0.1"), csv),
        (Some("application/x-ndjson;q=0.2, text/csv;q=0.7"), csv),
        (Some("application/x-ndjson"), NDJSON),
        (Some("application/x-ndjson;q=0.2, text/csv;q=0.1"), NDJSON),
        (Some("text/csv;q=0, */*;q=0.1"), NDJSON),
    ] {
        let response = ask(accept).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{accept:?}");
        assert_eq!(response.headers()["content-type"], media_type, "{accept:?}");
        assert_eq!(response.headers()["vary"], "Accept");
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
    for accept in ["application/json", "text/csv;q=0"] {
        refused(ask(Some(accept)), 406, "not_acceptable").await;
    }
}

#[tokio::test]
async fn words_of_upstream_stay_one_field_and_become_no_formula() {
    let test = Setup::new().role(Role::Api).start().await;
    let ids: Vec<Uuid> = (1..=4).map(Uuid::from_u128).collect();
    let purge = test.purge(&ids).await;
    let details = ["=HYPERLINK(\"http://x\",\"y\")", "a, \"b\"\r\nc", "-1", "Löschung"];
    for (position, detail) in details.iter().enumerate() {
        test.sql(&format!(
            "insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, code, detail,
                                    decided_at)
             values ('{purge}', 0, 1, '{{{position}}}', 1, 0, 'x', '@code', '{detail}', '2026-01-02T03:04:05.5Z')"
        ))
        .await;
    }
    let path = format!("/purges/{purge}/report");
    let told: Vec<Value> = details
        .iter()
        .zip(&ids)
        .map(|(detail, id)| {
            json!({
                "conversationId": id, "outcome": "pending", "code": "@code", "detail": detail, "jobId": null,
                "decidedAt": "2026-01-02T03:04:05.5Z", "holdId": null, "matter": null, "holdCount": null,
            })
        })
        .collect();
    assert_eq!(objects(&download(&test, &path, NDJSON).await), told);
    let csv = records(&download(&test, &path, CSV).await);
    let fields: Vec<(&str, &str)> =
        csv[1..].iter().map(|record| (record[2].as_str(), record[3].as_str())).collect();
    let expected = ["'=HYPERLINK(\"http://x\",\"y\")", "a, \"b\"\r\nc", "'-1", "Löschung"];
    assert_eq!(fields, expected.map(|detail| ("'@code", detail)));
}

#[tokio::test]
async fn the_report_of_another_org_or_of_no_purge_is_not_found() {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    let theirs = test.purge_with(json!({ "conversationIds": [Uuid::from_u128(1)], "org": "default" })).await;
    let eu = test.make_key(&[Scope::PurgesRead], Some(&["eu"])).await;
    for call in ["report", "events"] {
        let path = format!("/purges/{theirs}/{call}");
        refused(test.request_as(&eu, Method::GET, &path), 404, "not_found").await;
        let path = format!("/purges/{}/{call}", Uuid::from_u128(1));
        refused(test.request(Method::GET, &path), 404, "not_found").await;
    }
}
