//! The feed: every event, in the order of the commits and without gaps; live streams of it, and of single purges.

mod crowd;
mod live;
mod order;
mod places;
mod purge;
mod reach;
mod since;

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use uuid::Uuid;

use crate::support::TestService;
use crate::support::stream::Stream;

/// All events that the feed has now after a number, over pages of this size.
async fn all(test: &TestService, after: i64, limit: usize) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = test.get(&format!("/events?since={after}&limit={limit}{cursor}")).await;
        rows.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// Waits until every event has a number, and reads them all.
async fn whole(test: &TestService) -> Vec<Value> {
    test.wait_until("all are numbered", async || {
        test.number("select (select count(*) from events) - (select count(*) from event_numbers)").await == 0
    })
    .await;
    all(test, 0, 1000).await
}

fn numbers(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["no"].as_i64().unwrap()).collect()
}

/// The numbers are those from 1, and those of each purge, too.
fn assert_in_order(events: &[Value]) {
    let count = i64::try_from(events.len()).unwrap();
    assert_eq!(numbers(events), (1..=count).collect::<Vec<_>>());
    let mut last = std::collections::HashMap::new();
    for event in events {
        if let Some(purge) = event["purgeId"].as_str() {
            let before = last.insert(purge, event["eventNo"].as_i64().unwrap()).unwrap_or_default();
            assert_eq!(event["eventNo"], before + 1, "of {purge}");
        }
    }
}

/// Writes an event of no purge.
fn event(id: Uuid, org: Option<&str>) -> String {
    let org = org.map_or("null".to_owned(), |org| format!("'{org}'"));
    format!(
        "insert into events (id, type, org, actor, payload, at)
         values ('{id}', 'org_stopped', {org}, 'tester', '{{}}', clock_timestamp())"
    )
}

fn feed(test: &TestService) -> RequestBuilder {
    test.request(Method::GET, "/events")
}

/// A stream of a purge.
async fn listen(test: &TestService, purge: Uuid, last: Option<&str>) -> Stream {
    Stream::open(test.request(Method::GET, &format!("/purges/{purge}/events")), last).await
}

/// Short enough for what has to come at once, long enough for a busy machine.
const SOON: Duration = Duration::from_secs(5);
