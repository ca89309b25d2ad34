//! The metrics: they are right, documented, and protected.

mod access;
mod exposition;
mod outage;
mod waiting;

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
        let is_quiet = page.count("genesys_purge_jobs_open", &[]) == 0
            && page.count("genesys_purge_webhook_deliveries", &[("state", "pending")]) == 0;
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
        assert_eq!(page.count("genesys_purge_conversations_total", &labels), expected, "{outcome}");
    }
    assert!(page.count("genesys_purge_conversations_total", &[("outcome", "purged")]) > 0);

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
        assert_eq!(page.count(calls, &labels), *number, "{call} {status}: {answered:?}");
    }
    let lost = [("call", "poll"), ("status", "no_answer")];
    assert_eq!(page.count(calls, &lost), 1, "the one whose connection was reset");
    let total: u64 = answered.values().sum();
    assert_eq!(page.count(calls, &[]), total + 1, "and nothing else was counted");
    assert_eq!(page.count("genesys_purge_upstream_call_duration_seconds", &[]), total + 1);

    let attempts = "genesys_purge_webhook_attempts_total";
    assert_eq!(
        page.count(attempts, &[("result", "delivered")]) + page.count(attempts, &[("result", "dead")]),
        2
    );
    assert_eq!(page.count(attempts, &[]), test.receiver.hooks().len() as u64);
    assert!(page.count(attempts, &[("result", "failed")]) >= 1);
    let dead = page.count("genesys_purge_webhook_deliveries", &[("state", "dead")]);
    assert_eq!(dead, page.count(attempts, &[("result", "dead")]));

    let submits = [("step", "submit"), ("org", "default"), ("result", "ok")];
    assert_eq!(
        page.count("genesys_purge_step_duration_seconds", &submits),
        answered[&("submit", "200".to_owned())]
    );
    assert_eq!(page.count("genesys_purge_conversations_open", &[]), 0);
    assert_eq!(page.count("genesys_purge_database_up", &[]), 1);
    test.assert_no_breach();
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_metric_is_shown() {
    let documented: BTreeMap<&str, (&str, BTreeSet<&str>)> = include_str!("../../docs/metrics.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [name, kind, labels, meaning, ""] = cells[..] else { panic!("{row}") };
            assert!(!meaning.is_empty(), "{row}");
            (name.trim_end_matches('`'), (kind, labels.split('`').skip(1).step_by(2).collect()))
        })
        .collect();
    let declared: BTreeMap<&str, (&str, BTreeSet<&str>)> = meters::TABLE
        .iter()
        .map(|meter| (meter.name, (meter.kind.as_str(), meter.labels.iter().copied().collect())))
        .collect();
    assert_eq!(documented, declared);

    let (test, _) = busy().await;
    let page = settled(&test).await;
    let shown: BTreeSet<&str> = page.0.keys().map(String::as_str).collect();
    assert_eq!(shown, documented.keys().copied().collect());
    for (name, family) in &page.0 {
        let (kind, labels) = &documented[name.as_str()];
        assert_eq!(family.kind, *kind, "{name}");
        for (series, _) in &family.series {
            let told: BTreeSet<&str> = series.keys().map(String::as_str).collect();
            // An org that is not blocked has no code.
            let expected = labels.iter().filter(|label| **label != "code").copied().collect();
            assert_eq!(told, expected, "{name}");
        }
    }
}

#[tokio::test]
async fn labels_hold_what_the_service_knows_and_nothing_that_a_caller_sends() {
    let test = Setup::new().role(Role::Api).start().await;
    let id = test.ids_of(Kind::Eligible)[0];
    let purge = test.purge(&[id]).await;
    test.get(&format!("/purges/{purge}")).await;
    test.get(&format!("/conversations/{id}")).await;
    for (method, path) in [
        (Method::GET, format!("/nowhere/{id}")),
        (Method::DELETE, format!("/purges/{id}")),
        (Method::from_bytes(b"BREW").unwrap(), "/purges".to_owned()),
        (Method::GET, format!("/purges/{id}")),
        (Method::GET, "/purges/%00".to_owned()),
    ] {
        test.request(method, &path).send().await.unwrap();
    }
    let page = scrape(&test).await;
    let requests = "genesys_purge_http_requests_total";
    assert_eq!(page.values(requests, "method"), ["DELETE", "GET", "POST", "other"].into());
    let routes = page.values(requests, "route");
    assert_eq!(routes, ["/conversations/{conversationId}", "/purges", "/purges/{id}", "other"].into());
    for (method, route, status, number) in [
        ("POST", "/purges", "202", 1),
        ("GET", "/purges/{id}", "200", 1),
        ("GET", "/purges/{id}", "404", 2),
        ("DELETE", "/purges/{id}", "405", 1),
        ("GET", "other", "404", 1),
    ] {
        let labels = [("method", method), ("route", route), ("status", status)];
        assert_eq!(page.count(requests, &labels), number, "{labels:?}: {routes:?}");
    }
    assert_eq!(page.count("genesys_purge_http_requests_in_flight", &[]), 1, "the scrape itself");
}

#[tokio::test]
async fn gauges_tell_what_waits_and_what_stands_in_its_way() {
    let setup = Setup::new().env("PURGE__ENGINE__PAUSED", "true").second_org();
    let test = setup.start().await;
    let ids = test.ids_of(Kind::Eligible);
    test.purge_with(json!({ "conversationIds": ids[..30], "org": "default" })).await;
    test.purge_with(json!({ "conversationIds": ids[..12], "org": "eu" })).await;
    test.sql("update purges set created_at = created_at - interval '1 hour' where org = 'eu'").await;
    test.sql(
        "update orgs set blocked_call = 'submit', blocked_code = 'forbidden', blocked_detail = 'x',
                         blocked_at = now(), probe_at = now() + interval '1 hour'
         where name = 'eu'",
    )
    .await;
    test.sql("update orgs set stopped_at = now(), stopped_by = 'tester' where name = 'default'").await;
    let page = scrape(&test).await;
    for (name, labels, number) in [
        ("purges_open", &[("org", "default"), ("state", "queued")][..], 1),
        ("purges_open", &[("org", "default"), ("state", "running")], 0),
        ("conversations_open", &[("org", "default"), ("outcome", "pending")], 30),
        ("conversations_open", &[("org", "eu"), ("outcome", "pending")], 12),
        ("conversations_open", &[("outcome", "submitted")], 0),
        ("org_blocked", &[("org", "eu"), ("code", "forbidden")], 1),
        ("org_blocked", &[("org", "default")], 0),
        ("org_stopped", &[("org", "default")], 1),
        ("org_stopped", &[("org", "eu")], 0),
        ("jobs_open", &[], 0),
    ] {
        assert_eq!(page.count(&format!("genesys_purge_{name}"), labels), number, "{name} {labels:?}");
    }
    let age = |org| page.sum("genesys_purge_oldest_open_purge_age_seconds", &[("org", org)]);
    assert!((3600.0..3900.0).contains(&age("eu")), "{}", age("eu"));
    assert!(age("default") < 300.0, "{}", age("default"));
    assert!(!page.0["genesys_purge_jobs_open"].series.is_empty(), "what is not there reads as 0");
}

#[tokio::test]
async fn a_scrape_within_five_seconds_asks_the_database_nothing_new() {
    let test = Setup::new().role(Role::Api).start().await;
    scrape(&test).await;
    test.sql("update orgs set stopped_at = now(), stopped_by = 'tester'").await;
    let mut last = scrape(&test).await;
    for _ in 0..20 {
        last = scrape(&test).await;
    }
    let readings = [("transaction", "readings")];
    let asked = last.count("genesys_purge_transaction_duration_seconds", &readings);
    assert!(asked <= 2, "22 scrapes asked {asked} times");
    assert!(asked > 0);
}

#[tokio::test]
async fn what_is_put_off_and_what_ran_out_is_counted() {
    let setup = Setup::new()
        .env("PURGE__ORGS__DEFAULT__REQUESTS_PER_MINUTE", "1")
        .env("PURGE__ENGINE__PAUSED", "true");
    let test = setup.start().await;
    let store = test.store().await;
    let terms = genesys_purge::app::org_terms("default", &test.settings.orgs["default"]);
    let engine_terms = genesys_purge::app::engine_terms(&test.settings);
    let meters = meters::Meters::new(["default"]);
    let store = store.measured(meters.clone());
    let call = genesys_purge::store::orgs::limiter::Call::Poll;
    assert!(store.take_permit(&terms, call).await.unwrap().is_ok());
    assert!(store.take_permit(&terms, call).await.unwrap().is_err());
    test.purge(&test.ids_of(Kind::Eligible)).await;
    test.sql("update slices set state = 'validating', lease_until = now() - interval '1 minute'").await;
    assert_eq!(store.expire_slices("default").await.unwrap(), 1);
    waiting::put_jobs(&test, "submitting", 2).await;
    assert_eq!(store.expire_submits("default", &engine_terms).await.unwrap(), 2);
    let page = Page::read(&meters.page().to_string());
    let refused =
        |call| page.count("genesys_purge_permits_refused_total", &[("org", "default"), ("call", call)]);
    assert_eq!((refused("poll"), refused("submit")), (1, 0));
    let expired = |of| page.count("genesys_purge_leases_expired_total", &[("org", "default"), ("of", of)]);
    assert_eq!((expired("slices"), expired("submits")), (1, 2));
    store.close().await;
}
