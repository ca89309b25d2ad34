//! How the pages look: to people with assistive technology, on a phone, in the dark.

use genesys_purge::sandbox::Kind;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::browser::Browser;
use super::{setup, signed_in};
use crate::support::receiver::Answer;

/// The rules of <https://github.com/dequelabs/axe-core>, and what they find in a page.
const AXE: &str = include_str!("axe.min.js");
const RUN_AXE: &str = "const done = arguments[arguments.length - 1]; \
    axe.run(document, {resultTypes: ['violations']}).then(found => done(found.violations.map(rule => ({ \
        id: rule.id, impact: rule.impact, help: rule.help, \
        nodes: rule.nodes.map(node => node.target.join(' ') + ' ' + node.failureSummary) }))));";

#[tokio::test]
async fn every_page_is_accessible_wide_and_narrow_light_and_dark() {
    let test = setup().second_org().start().await;
    test.receiver.answer_next(&[Answer::Saying(500, "the receiver is being upgraded")]);
    let mut ids: Vec<_> = test.ids_of(Kind::Eligible).into_iter().take(60).collect();
    let (status, hold) = test
        .post(
            "/holds",
            &json!({"matter": "Smith v. Jones", "conversationIds": ids[..7], "externalId": "2026-117"}),
        )
        .await;
    assert_eq!(status, StatusCode::CREATED, "{hold}");
    for kind in [Kind::Held, Kind::Young, Kind::Active, Kind::Deleted] {
        ids.extend(test.ids_of(kind).into_iter().take(8));
    }
    let wish = |more: Value| {
        let mut wish = json!({"conversationIds": ids, "reason": "Retention period ended", "labels": {"team": "billing", "ticket": "4711"}, "org": "default"});
        wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        wish
    };
    let dry = test.purge_with(wish(json!({"dryRun": true, "reference": "October clean-up"}))).await;
    test.finished(dry).await;
    let purge = test.purge_with(wish(json!({"reference": "October clean-up, second half"}))).await;
    test.finished(purge).await;
    let endpoint =
        json!({"url": test.receiver.url, "description": "Billing system", "events": ["purge_completed"]});
    let (status, endpoint) = test.post("/webhook-endpoints", &endpoint).await;
    assert_eq!(status, StatusCode::CREATED, "{endpoint}");
    let (status, _) = test.post("/orgs/eu/stop", &json!({"reason": "Audit of the European org"})).await;
    assert_eq!(status, StatusCode::OK);
    let waiting = json!({"conversationIds": ids[20..40], "reference": "Waiting for the audit", "org": "eu"});
    let waiting = test.purge_with(waiting).await;
    for (act, reason) in [("pause", "Legal wants to look at the list first"), ("resume", "The list is right")]
    {
        let (status, body) =
            test.post(&format!("/purges/{waiting}/{act}"), &json!({ "reason": reason })).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    let past = json!({"matter": "Doe v. Roe", "conversationIds": ids[5..20], "reason": "Preservation letter of 3 March"});
    let (_, past) = test.post("/holds", &past).await;
    let release = format!("/holds/{}/release", past["id"].as_str().unwrap());
    let (status, past) = test.post(&release, &json!({"reason": "The case was settled"})).await;
    assert_eq!(status, StatusCode::OK, "{past}");
    for act in ["stop", "resume"] {
        let (status, _) =
            test.post(&format!("/orgs/default/{act}"), &json!({"reason": "Maintenance of Genesys"})).await;
        assert_eq!(status, StatusCode::OK);
    }
    let deliveries = test.get(&format!("/webhook-deliveries?purge={purge}")).await;
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    let pages = [
        ("overview", String::new()),
        ("purges", "/purges".to_owned()),
        ("purge", format!("/purges/{purge}")),
        ("dry-run", format!("/purges/{dry}")),
        ("waiting", format!("/purges/{waiting}")),
        ("conversations", format!("/purges/{purge}/conversations")),
        ("submit", format!("/purges/{dry}/submit")),
        ("cancel", format!("/purges/{waiting}/cancel")),
        ("new-purge", "/purges/new".to_owned()),
        ("conversation", format!("/conversations/{}", ids[0])),
        ("found", "/purges?by=tester&from=2026-01-01T00%3A00&state=completed".to_owned()),
        ("find", "/conversations?id=wrong".to_owned()),
        ("holds", "/holds".to_owned()),
        ("hold", format!("/holds/{}", id(&hold))),
        ("held-before", format!("/holds/{}", id(&past))),
        ("holds-found", format!("/holds?state=in_force&conversation={}", ids[0])),
        ("release", format!("/holds/{}/release", id(&hold))),
        ("new-hold", "/holds/new".to_owned()),
        ("webhooks", "/webhooks".to_owned()),
        ("endpoint", format!("/webhooks/endpoints/{}", id(&endpoint))),
        ("new-endpoint", "/webhooks/new".to_owned()),
        ("deliveries", "/webhooks/deliveries".to_owned()),
        ("delivery", format!("/webhooks/deliveries/{}", id(&deliveries["items"][0]))),
        ("keys", "/keys".to_owned()),
        ("stop", "/orgs/default/stop".to_owned()),
        ("resume", "/orgs/eu/resume".to_owned()),
        ("not-found", "/purges/no-such-purge".to_owned()),
    ];
    let browser = signed_in(&test.url, &test.key).await;
    let mut found = Vec::new();
    for (name, path) in &pages {
        browser.go(&format!("{}/admin{path}", test.url)).await;
        found.extend(looked_at(&browser, name).await);
    }
    browser.click(".who button").await;
    browser.until_text("h1", "Sign in").await;
    found.extend(looked_at(&browser, "sign-in").await);
    assert!(found.is_empty(), "{found:#?}");
}

/// What is wrong with the page that is open.
async fn looked_at(browser: &Browser, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (width, is_dark) in [(1280, false), (1280, true), (390, false), (390, true)] {
        let look = format!("{name}-{width}-{}", if is_dark { "dark" } else { "light" });
        browser.look(width, is_dark).await;
        browser.picture(&look).await;
        let wide = browser.run("return document.documentElement.scrollWidth").await.as_u64().unwrap();
        if wide > u64::from(width) {
            found.push(format!("{look} is {wide} wide"));
        }
        browser.run(&format!("{AXE}; return true")).await;
        for rule in browser.run_long(RUN_AXE).await.as_array().unwrap() {
            found.push(format!("{look}: {rule}"));
        }
    }
    // A page that is not there is told as such.
    let complaints = browser.complaints().await;
    found
        .extend(complaints.into_iter().filter(|complaint| name != "not-found" || !complaint.contains("404")));
    found
}
