//! A report as a stream: clients that stop reading or go away, and a failing database.

use genesys_purge::app::Role;
use reqwest::header::ACCEPT;
use reqwest::{Method, Response, StatusCode, Version};
use sqlx::Executor as _;
use uuid::Uuid;

use crate::support::problem::refused;
use crate::support::{Setup, TestService};

/// More than the sockets between server and client can hold.
const ROWS: u128 = 200_000;

/// A service with two connections for requests, and a large purge.
async fn stage() -> (TestService, Uuid) {
    let setup = Setup::new().role(Role::Api).env("PURGE__DATABASE__MAX_CONNECTIONS", "4");
    let test = setup.start().await;
    let ids = (1..=ROWS).map(|id| Uuid::from_u128(id).to_string()).collect::<Vec<_>>().join("\n");
    let response = test.upload("text/csv", "", ids).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let purge: serde_json::Value = response.json().await.unwrap();
    (test, purge["id"].as_str().unwrap().parse().unwrap())
}

/// Begins to download a report as NDJSON; what was read of it.
async fn begin(test: &TestService, purge: Uuid) -> (Response, Vec<u8>) {
    let request = test.request(Method::GET, &format!("/purges/{purge}/report"));
    let mut response = request.header(ACCEPT, "application/x-ndjson").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let first = response.chunk().await.unwrap().unwrap();
    (response, first.to_vec())
}

/// Reads to the end, or to the break.
async fn rest(response: &mut Response, read: &mut Vec<u8>) -> Result<(), reqwest::Error> {
    while let Some(chunk) = response.chunk().await? {
        read.extend(&chunk);
    }
    Ok(())
}

fn rows(report: &[u8]) -> u128 {
    report.split(|byte| *byte == b'\n').skip(1).count() as u128
}

#[tokio::test]
async fn who_could_not_see_that_a_report_broke_off_gets_none() {
    let test = Setup::new().role(Role::Api).start().await;
    let purge = test.purge(&[Uuid::from_u128(1)]).await;
    let request = test.request(Method::GET, &format!("/purges/{purge}/report")).version(Version::HTTP_10);
    refused(request, 505, "http_version").await;
}

#[tokio::test]
async fn readers_that_stop_reading_hold_no_connection_and_may_go_on_later() {
    let (test, purge) = stage().await;
    let mut stalled = Vec::new();
    for _ in 0..3 {
        stalled.push(begin(&test, purge).await);
    }
    // There are fewer connections than readers: were they held, this would find none and fail.
    for _ in 0..20 {
        test.get(&format!("/purges/{purge}")).await;
    }
    let open = "select count(*) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'";
    test.wait_until("no transaction is open", async || test.number(open).await == 0).await;
    for (mut response, mut read) in stalled {
        assert!(rows(&read) < ROWS, "it was begun only");
        rest(&mut response, &mut read).await.unwrap();
        assert_eq!(rows(&read), ROWS);
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_gives_everything_back_even_in_the_middle_of_a_read() {
    let (test, purge) = stage().await;
    for _ in 0..10 {
        drop(begin(&test, purge).await);
    }
    test.get(&format!("/purges/{purge}")).await;
    // This one goes away while the database keeps it waiting.
    let (mut response, mut read) = begin(&test, purge).await;
    let mut lock = test.lock("decisions in access exclusive").await;
    let reader = tokio::spawn(async move { rest(&mut response, &mut read).await.map(|()| read) });
    test.until_waiting(1).await;
    reader.abort();
    assert!(reader.await.unwrap_err().is_cancelled());
    lock.execute("rollback").await.unwrap();
    assert_eq!(test.get(&format!("/purges/{purge}")).await["counts"]["pending"], serde_json::json!(ROWS));
    let (mut response, mut read) = begin(&test, purge).await;
    rest(&mut response, &mut read).await.unwrap();
    assert_eq!(rows(&read), ROWS);
}

#[tokio::test]
async fn a_report_that_can_not_be_told_to_its_end_is_cut_off_and_goes_on_by_its_last_row() {
    let (test, purge) = stage().await;
    let (mut response, mut read) = begin(&test, purge).await;
    test.sql("alter table decisions rename to elsewhere").await;
    let error = rest(&mut response, &mut read).await.expect_err("it must not end like a whole one");
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert!(rows(&read) < ROWS);
    test.sql("alter table elsewhere rename to decisions").await;

    let whole = &read[..=read.iter().rposition(|byte| *byte == b'\n').unwrap()];
    let last: serde_json::Value =
        serde_json::from_slice(whole.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap())
            .unwrap();
    let path = format!("/purges/{purge}/report?cursor={}", last["conversationId"].as_str().unwrap());
    let request = test.request(Method::GET, &path).header(ACCEPT, "application/x-ndjson");
    let rest = request.send().await.unwrap().bytes().await.unwrap();
    let all = [whole, &rest].concat();
    let ids: Vec<Uuid> = all
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap())
        .map(|row| row["conversationId"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(ids.iter().copied().eq((1..=ROWS).map(Uuid::from_u128)), "every row once, in order");
}
