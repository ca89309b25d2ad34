//! Conversations kept because of their age: one decision per slice, with a date for each conversation.

use genesys_purge::sandbox::Kind;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::books::assert_books;
use crate::support::{Setup, TestService};

const ROWS: &str = "select count(*) from decisions where code = 'retention_period'";

/// So many young conversations and as many old ones, in turn.
async fn young_and_old(number: u32) -> (TestService, Vec<Uuid>) {
    let setup = Setup::new().sandbox(|org| {
        org.conversations = 2 * number;
        org.shares.young = 1.0;
    });
    let test = setup.start().await;
    let (young, old) = (test.ids_of(Kind::Young), test.ids_of(Kind::Eligible));
    assert_eq!(young.len(), old.len());
    let ids = young.into_iter().zip(old).flat_map(<[Uuid; 2]>::from).collect();
    (test, ids)
}

/// What must be told of a conversation: its own end, and the days of `retention.default_days` later.
fn told(test: &TestService, id: Uuid) -> Option<String> {
    let truth = test.sandbox.sandbox().conversation(id).unwrap();
    let end: Timestamp = truth.ended_at.unwrap();
    let until = end.to_zoned(TimeZone::UTC).checked_add(365.days()).unwrap().timestamp();
    (truth.kind == Kind::Young).then(|| format!("kept until {until}"))
}

#[tokio::test]
async fn a_slice_of_young_conversations_is_one_decision_that_tells_the_date_of_each() {
    let (test, ids) = young_and_old(650).await;
    let purge = test.purge_with(json!({ "conversationIds": ids, "dryRun": true })).await;
    let counts = test.finished(purge).await["counts"].clone();
    assert_eq!((&counts["retained"], &counts["would_purge"]), (&json!(650), &json!(650)));
    assert_eq!(test.number(ROWS).await, 3, "1300 conversations are three slices");

    let rows = test.conversations(purge).await;
    assert_eq!(rows.len(), ids.len());
    for (row, &id) in rows.iter().zip(&ids) {
        let expected = json!(told(&test, id));
        assert_eq!((&row["conversationId"], &row["detail"]), (&json!(id), &expected), "{row}");
    }
    let dates: std::collections::HashSet<&Value> = rows.iter().map(|row| &row["detail"]).collect();
    assert!(dates.len() > 600, "each has a date of its own: {}", dates.len());

    let report = test.request(Method::GET, &format!("/purges/{purge}/report"));
    let report = report.header("accept", "application/x-ndjson").send().await.unwrap().text().await.unwrap();
    let reported: Vec<Value> = report.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(reported, rows);

    // The first and the last of each slice, and some between.
    for position in [0, 1, 2, 250, 498, 499, 500, 502, 998, 1000, 1298, 1299] {
        let id = ids[position];
        let story = test.get(&format!("/conversations/{id}")).await;
        let decisions = story["purges"][0]["decisions"].as_array().unwrap();
        assert_eq!(decisions.len(), 1, "{story}");
        assert_eq!(decisions[0]["detail"], json!(told(&test, id)), "{story}");
    }
    assert_books(&test).await;
}

#[tokio::test]
async fn a_decision_keeps_as_many_dates_as_positions_or_none() {
    let test = TestService::start().await;
    let mut connection = test.database.connect().await;
    let mut insert = async |detail: &str, dates: &str| {
        let row = format!(
            "insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, code, detail,
                                    kept_until, decided_at)
             values ('{}', 0, 1, '{{0,1}}', 0, 6, 'validate', 'retention_period', {detail}, {dates}, now())",
            Uuid::nil()
        );
        sqlx::query(sqlx::AssertSqlSafe(row)).execute(&mut connection).await.is_ok()
    };
    assert!(insert("null", "'{2027-01-01,2027-01-02}'").await);
    assert!(insert("'kept until then'", "null").await);
    for (detail, dates) in [
        ("null", "'{2027-01-01}'"),
        ("null", "'{2027-01-01,null}'"),
        ("null", "'{}'"),
        ("'kept until then'", "'{2027-01-01,2027-01-02}'"),
    ] {
        assert!(!insert(detail, dates).await, "{detail} {dates}");
    }
}
