//! Where a reader starts, and which values are accepted.

use genesys_purge::app::Role;
use genesys_purge::sandbox::Kind;
use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::Value;

use super::{all, event, feed, numbers, whole};
use crate::support::postgres::new_id;
use crate::support::problem::{pointers, refused};
use crate::support::{Setup, TestService};

async fn since(test: &TestService, since: &str) -> Vec<i64> {
    let since = since.replace('+', "%2B");
    numbers(test.get(&format!("/events?since={since}&limit=1000")).await["items"].as_array().unwrap())
}

#[tokio::test]
async fn a_page_begins_after_a_number_or_with_a_time() {
    let test = Setup::new().role(Role::Api).start().await;
    let make_id = new_id();
    let mut moments = Vec::new();
    for _ in 0..7 {
        test.sql(&event(make_id(), None)).await;
        whole(&test).await;
        let last = "select to_char(max(stamped_at) at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from event_numbers";
        let mut connection = test.database.connect().await;
        moments.push(sqlx::query_scalar::<_, String>(last).fetch_one(&mut connection).await.unwrap());
    }
    let every: Vec<i64> = (1..=7).collect();
    assert_eq!(numbers(&all(&test, 0, 2).await), every);
    for after in 0..=7 {
        let rest: Vec<i64> = (after + 1..=7).collect();
        assert_eq!(since(&test, &after.to_string()).await, rest);
        assert_eq!(numbers(&all(&test, after, 3).await), rest);
    }
    for (number, moment) in (1..).zip(&moments) {
        assert_eq!(since(&test, moment).await, (number..=7).collect::<Vec<i64>>(), "{moment}");
    }
    for early in ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2020-01-01T00:00:00+02:00"] {
        assert_eq!(since(&test, early).await, every, "{early}");
    }
    assert_eq!(since(&test, "9999-12-30T00:00:00Z").await, [0; 0]);
    let page = test.get("/events?since=7").await;
    assert_eq!(page["nextCursor"], Value::Null);
}

#[tokio::test]
async fn an_event_tells_what_webhooks_and_histories_tell() {
    let test = TestService::start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..2]).await;
    test.finished(purge).await;
    let events = whole(&test).await;
    let history = test.get(&format!("/purges/{purge}/events?limit=1000")).await;
    let history = history["items"].as_array().unwrap();
    let own: Vec<&Value> = events.iter().filter(|event| event["purgeId"] == purge.to_string()).collect();
    assert_eq!(own.len(), history.len());
    for (event, of_purge) in own.iter().zip(history) {
        for (name, value) in of_purge.as_object().unwrap() {
            assert_eq!(event[name], *value, "{name}");
        }
        assert_eq!(event["org"], "default");
        assert_eq!(event["holdId"], Value::Null);
    }
    let hook = test.receiver.wait_for(1, |hook| hook.body["event"] == "purge_completed").await.remove(0);
    assert_eq!(own.last().unwrap()["id"], hook.id.as_str(), "the webhook's id");
}

#[tokio::test]
async fn what_is_no_place_in_the_feed_is_refused() {
    let test = Setup::new().role(Role::Api).start().await;
    test.sql(&event(new_id()(), None)).await;
    whole(&test).await;
    for wrong in ["", "-1", "x", "1.5", "2026-11-25", "now", "2", "9223372036854775808"] {
        for accept in ["application/json", "text/event-stream"] {
            let request = test.request(Method::GET, &format!("/events?since={wrong}")).header(ACCEPT, accept);
            let problem = refused(request, 400, "invalid_query").await;
            assert_eq!(pointers(&problem), ["?since"], "{wrong:?}: {problem}");
        }
    }
    for wrong in ["x", "-1", "2", "1.0"] {
        let stream = feed(&test).header(ACCEPT, "text/event-stream");
        refused(stream.header("Last-Event-ID", wrong), 400, "invalid_header").await;
    }
    for (query, pointer) in
        [("limit=0", "?limit"), ("cursor=x", "?cursor"), ("since=0&since=1", "?since"), ("org=eu", "?org")]
    {
        let problem =
            refused(test.request(Method::GET, &format!("/events?{query}")), 400, "invalid_query").await;
        assert_eq!(pointers(&problem), [pointer], "{problem}");
    }
    for (query, pointer) in [("limit=3", "?limit"), ("cursor=x", "?cursor")] {
        let request =
            test.request(Method::GET, &format!("/events?{query}")).header(ACCEPT, "text/event-stream");
        let problem = refused(request, 400, "invalid_query").await;
        assert_eq!(pointers(&problem), [pointer], "{problem}");
    }
    refused(feed(&test).header(ACCEPT, "text/html"), 406, "not_acceptable").await;
}
