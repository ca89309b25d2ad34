//! The metrics: they tell what happened, as documented, and to whom they may.

mod access;
mod exposition;
mod outage;

use std::collections::{BTreeMap, BTreeSet};

use genesys_purge::app::Role;
use genesys_purge::domain::outcome::Outcome;
use genesys_purge::meters;
use genesys_purge::sandbox::{Call, Kind};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::receiver::Answer;
use crate::support::{Setup, TestService};
use exposition::Page;

/// What a scrape with the key sees.
async fn scrape(test: &TestService) -> Page {
    let response = test.request(Method::GET, "/metrics").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    Page::read(&response.text().await.unwrap())
}

/// A purge of every kind of conversation, with a call and a delivery that go wrong once.
async fn busy() -> (TestService, serde_json::Value) {
    let test = Setup::new()
        .env("PURGE__WEBHOOKS__RETRY_SCHEDULE", "100ms")
        .sandbox(|org| {
            org.shares.eligible = 0.7;
            org.shares.held = 0.1;
            org.shares.active = 0.1;
            org.shares.deleted = 0.1;
        })
        .start()
        .await;
    test.receiver.answer_next(&[Answer::Status(500), Answer::Status(500)]);
    test.fault(json!({ "call": "details", "times": 1, "fault": { "status": 503 } }));
    test.fault(json!({ "call": "poll", "times": 1, "fault": { "reset": "after" } }));
    let ids: Vec<_> = [Kind::Eligible, Kind::Held, Kind::Active, Kind::Deleted]
        .into_iter()
        .flat_map(|kind| test.ids_of(kind))
        .collect();
    let purge = test.purge(&ids).await;
    let body = test.finished(purge).await;
    test.assert_all_struck();
    (test, body)
}

/// Waits until nothing is pending any more: the engine's last steps and the deliveries come after the purge's end.
async fn settled(test: &TestService) -> Page {
    let pending = "select count(*) from deliveries where state = 'pending'";
    let alive = "select count(*) from jobs where state <> 'done'";
    test.wait_until("all is quiet", async || test.number(pending).await + test.number(alive).await == 0)
        .await;
    // What is counted after its commit may be a moment behind what tables tell; and the gauges are read again only now.
    let mut page = scrape(test).await;
    for _ in 0..400 {
        let is_quiet = page.sum("genesys_purge_jobs_open", &[]) == 0
            && page.sum("genesys_purge_webhook_deliveries", &[("state", "pending")]) == 0;
        if is_quiet {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        page = scrape(test).await;
    }
    page
}

#[tokio::test]
async fn what_is_counted_is_what_happened() {
    let (test, purge) = busy().await;
    let page = settled(&test).await;

    for outcome in Outcome::ALL.iter().filter(|outcome| outcome.is_final()) {
        let labels = [("org", "default"), ("outcome", outcome.as_str())];
        let expected = purge["counts"][outcome.as_str()].as_u64().unwrap();
        assert_eq!(page.sum("genesys_purge_conversations_total", &labels), expected, "{outcome}");
    }
    assert!(page.sum("genesys_purge_conversations_total", &[("outcome", "purged")]) > 0);

    let calls = "genesys_purge_upstream_calls_total";
    let report = test.sandbox.sandbox().report(0, 500);
    let mut answered = BTreeMap::<(&str, String), u64>::new();
    for (call, name) in
        [(Call::Token, "token"), (Call::Details, "facts"), (Call::Submit, "submit"), (Call::Poll, "poll")]
    {
        let endings = report.counts.get(&call).into_iter().flatten();
        for (ending, number) in endings.filter(|(ending, _)| ending.parse::<u16>().is_ok()) {
            answered.insert((name, ending.clone()), *number);
        }
    }
    assert!(answered.contains_key(&("facts", "503".to_owned())), "{answered:?}");
    for ((call, status), number) in &answered {
        let labels = [("org", "default"), ("call", *call), ("status", status.as_str())];
        assert_eq!(page.sum(calls, &labels), *number, "{call} {status}: {answered:?}");
    }
    let lost = [("call", "poll"), ("status", "no_answer")];
    assert_eq!(page.sum(calls, &lost), 1, "the one whose connection was reset");
    let total: u64 = answered.values().sum();
    assert_eq!(page.sum(calls, &[]), total + 1, "and nothing else was counted");
    assert_eq!(page.sum("genesys_purge_upstream_call_duration_seconds", &[]), total + 1);

    let attempts = "genesys_purge_webhook_attempts_total";
    assert_eq!(page.sum(attempts, &[("result", "delivered")]) + page.sum(attempts, &[("result", "dead")]), 2);
    assert_eq!(page.sum(attempts, &[]), u64::try_from(test.receiver.hooks().len()).unwrap());
    assert!(page.sum(attempts, &[("result", "failed")]) >= 1);
    let dead = page.sum("genesys_purge_webhook_deliveries", &[("state", "dead")]);
    assert_eq!(dead, page.sum(attempts, &[("result", "dead")]));

    let submits = [("step", "submit"), ("org", "default"), ("result", "ok")];
    assert_eq!(page.sum("genesys_purge_step_duration_seconds", &submits), 1);
    assert_eq!(page.sum("genesys_purge_conversations_open", &[]), 0);
    assert_eq!(page.sum("genesys_purge_database_up", &[]), 1);
    test.assert_no_breach();
}

/// Name, kind and labels of every metric that docs/metrics.md lists.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    let text = include_str!("../../docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let row = |row: &str| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        (cells[1].trim_matches('`').to_owned(), (cells[2].to_owned(), words(cells[3])))
    };
    rows.map(row).collect()
}

#[tokio::test]
async fn the_page_shows_what_is_documented_and_nothing_else() {
    let documented = documented();
    let coded: BTreeMap<_, _> = meters::TABLE
        .iter()
        .map(|meter| {
            let labels = meter.labels.iter().map(|label| (*label).to_owned()).collect();
            (meter.name.to_owned(), (meter.kind.as_str().to_owned(), labels))
        })
        .collect();
    assert_eq!(documented, coded);

    let (test, _) = busy().await;
    let page = settled(&test).await;
    for (name, family) in &page.0 {
        let (kind, labels) = documented.get(name).unwrap_or_else(|| panic!("{name} is not documented"));
        assert_eq!(&family.kind, kind, "{name}");
        for (series, _) in &family.series {
            let shown: BTreeSet<String> = series.keys().filter(|label| *label != "le").cloned().collect();
            assert!(shown.is_subset(labels), "{name}: {shown:?} of {labels:?}");
        }
    }
    let missing: Vec<&String> = documented.keys().filter(|name| !page.0.contains_key(*name)).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

#[tokio::test]
async fn a_route_is_told_as_the_document_has_it_and_never_as_it_was_asked_for() {
    let test = Setup::new().role(Role::Api).start().await;
    let id = uuid::Uuid::from_u128(7);
    for path in [
        format!("/purges/{id}"),
        format!("/jobs/{id}"),
        "/nowhere/at/all".to_owned(),
        "/docs/x.js".to_owned(),
    ] {
        test.request(Method::GET, &path).send().await.unwrap();
    }
    let page = scrape(&test).await;
    let requests = "genesys_purge_http_requests_total";
    let routes = page.values(requests, "route");
    for route in ["/purges/{id}", "/jobs/{id}", "other"] {
        assert!(routes.contains(route), "{routes:?}");
    }
    assert!(
        routes.iter().all(|route| !route.contains(&id.to_string()) && !route.contains("nowhere")),
        "{routes:?}"
    );
    let labels = [("route", "/purges/{id}"), ("status", "404"), ("method", "GET")];
    assert_eq!(page.sum(requests, &labels), 1);
}
