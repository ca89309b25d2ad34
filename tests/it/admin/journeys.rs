//! The main tasks of people on the admin page.

use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::{Call, JobDuration, Kind};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::plain::Plain;
use super::{pasted, setup, signed_in};
use crate::support::Setup;

/// Whoever reloads a page loses this.
const MARK: &str = "window.isTheSamePage = true; return true";
const IS_MARKED: &str = "return window.isTheSamePage === true";

#[tokio::test]
async fn somebody_checks_submits_and_watches_a_purge_to_its_end_without_reloading() {
    let setup = setup();
    let ids = pasted(&setup);
    let test = setup.start().await;
    let browser = signed_in(&test.url, &test.key).await;
    browser.go(&format!("{}/admin/purges/new", test.url)).await;
    browser.fill("#reference", "case 4711").await;
    browser.fill("#labels", "team:billing").await;
    browser.fill("#ids", &ids).await;
    browser.click("main button[type=submit]").await;
    browser.until_text("h1", "case 4711").await;
    browser.run(MARK).await;
    browser.until_text("#live .state", "completed").await;
    assert_eq!(browser.run(IS_MARKED).await, true, "the page was loaded again");
    let told = browser.text("#live").await;
    assert!(told.contains("would purge 5") && told.contains("dry run"), "{told}");
    for kind in [Kind::Held, Kind::Young, Kind::Active] {
        assert!(told.contains(&test.ids_of(kind)[0].to_string()), "{kind:?} is not among: {told}");
    }
    assert_eq!(test.calls(Call::Submit, "200"), 0, "a dry run deleted something");

    browser.click("#submit").await;
    browser.until_text("main", "permanently deletes 5 conversations").await;
    browser.click("main button.danger").await;
    browser.until_text("#timeline, h2 + .timeline", "purge accepted").await;
    browser.run(MARK).await;
    browser.until_text("#live .state", "completed").await;
    assert_eq!(browser.run(IS_MARKED).await, true, "the page was loaded again");
    let told = browser.text("#live").await;
    assert!(told.contains("purged 5") && told.contains("purge completed"), "{told}");
    let purge = browser.url().await.rsplit('/').next().unwrap().to_owned();
    let body = test.get(&format!("/purges/{purge}")).await;
    assert_eq!((&body["counts"]["purged"], &body["counts"]["total"]), (&json!(5), &json!(5)), "{body}");
    assert_eq!((&body["labels"]["team"], &body["dryRun"]), (&json!("billing"), &json!(false)), "{body}");
    test.assert_no_breach();
}

#[tokio::test]
async fn a_purge_is_paused_resumed_and_canceled_after_a_question_that_says_how_many() {
    let setup = Setup::new().sandbox(|settings| {
        settings.job_duration = JobDuration { base_ms: 600_000, jitter_ms: 0 };
    });
    let setup = setup.env("PURGE__ORGS__DEFAULT__MAX_BATCH", "10");
    let setup = setup.env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "1");
    let test = setup.start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..40]).await;
    let browser = signed_in(&test.url, &test.key).await;
    browser.go(&format!("{}/admin/purges/{purge}", test.url)).await;
    browser.until_text("#live .legend", "submitted 10").await;
    browser.click("#pause").await;
    browser.until_text("main", "Nothing more of 30 conversations").await;
    browser.fill("#reason", "a <b>look</b> first").await;
    browser.click("main button").await;
    browser.until_text("#live .state", "paused").await;
    browser.click("#resume").await;
    browser.until_text("main", "Up to 30 conversations").await;
    browser.fill("#reason", "the list is right").await;
    browser.click("main button").await;
    browser.until_text("#live .state", "running").await;
    browser.click("#cancel").await;
    browser.until_text("main", "30 conversations will not be deleted. 10 conversations").await;
    browser.click("main button").await;
    browser.until_text("#live .state", "canceling").await;
    let body = test.get(&format!("/purges/{purge}")).await;
    assert_eq!(body["state"], "canceling", "{body}");
    let told = browser.text("#live").await;
    for said in ["by tester: a <b>look</b> first", "by tester: the list is right", "(a <b>look</b> first)"] {
        assert!(told.contains(said), "{said}: {told}");
    }
}

#[tokio::test]
async fn purges_are_found_by_requester_and_time_and_come_as_a_file() {
    let test = setup().start().await;
    let (mine, ids) = (test.make_key_of("night batch", Scope::ALL, None).await, test.ids_of(Kind::Eligible));
    let body = json!({ "conversationIds": &ids[..1], "reference": "theirs" });
    let sent = test.request_as(&mine, Method::POST, "/purges").json(&body).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::ACCEPTED);
    test.purge_with(json!({ "conversationIds": &ids[1..2], "reference": "ours" })).await;
    let browser = signed_in(&test.url, &test.key).await;
    browser.go(&format!("{}/admin/purges", test.url)).await;
    browser.until_text("main table", "ours").await;
    browser.fill("#by", "night batch").await;
    browser.click("main form button[type=submit]").await;
    browser.until_text("main table", "theirs").await;
    assert!(!browser.text("main table").await.contains("ours"));
    for (query, is_found) in [
        ("by=night+batch&from=2020-01-01T00%3A00", true),
        ("by=night+batch&until=2020-01-01T00%3A00", false),
        ("from=2020-01-01T00%3A00&ended=2090-01-01T00%3A00", false),
    ] {
        browser.go(&format!("{}/admin/purges?{query}", test.url)).await;
        browser.until_text("h1", "Purges").await;
        assert_eq!(browser.text("main").await.contains("theirs"), is_found, "{query}");
    }
    browser.go(&format!("{}/admin/purges?from=yesterday", test.url)).await;
    browser.until_text("main", "expected a time").await;
    let visitor = Plain::sign_in(&test, &test.key).await;
    let (status, file) = visitor.any("/admin/purges.csv?by=night+batch").await;
    assert_eq!(status, StatusCode::OK);
    assert!(file.starts_with("id,state,") && file.contains(",theirs,") && !file.contains(",ours,"), "{file}");
}

#[tokio::test]
async fn a_hold_shows_what_it_protects_and_is_released() {
    let test = setup().start().await;
    let ids: Vec<_> = test.ids_of(Kind::Eligible).into_iter().take(2).collect();
    let browser = signed_in(&test.url, &test.key).await;
    browser.go(&format!("{}/admin/holds/new", test.url)).await;
    browser.fill("#matter", "Smith v. Jones").await;
    browser.fill("#reason", "letter of 3 March").await;
    browser.fill("#ids", &format!("conversationId,source\n{},export\n{},export\n", ids[0], ids[1])).await;
    browser.click("main button[type=submit]").await;
    browser.until_text("h1", "Smith v. Jones").await;
    let told = browser.text("main").await;
    assert!(ids.iter().all(|id| told.contains(&id.to_string())) && told.contains("in force"), "{told}");

    let purge = test.purge(&ids).await;
    test.finished(purge).await;
    browser.go(&format!("{}/admin/purges/{purge}", test.url)).await;
    browser.until_text("#live .legend", "on hold 2").await;
    browser.click(&format!("#live a[href='/admin/conversations/{}']", ids[0])).await;
    browser.until_text("h1", "Conversation").await;
    let told = browser.text("main").await;
    assert!(told.contains("Protected by Smith v. Jones") && told.contains("on hold"), "{told}");
    browser.go(&format!("{}/admin/holds?state=in_force&conversation={}", test.url, ids[0])).await;
    browser.until_text("main table", "Smith v. Jones").await;
    browser.go(&format!("{}/admin/holds?state=released&conversation={}", test.url, ids[0])).await;
    browser.until_text("main", "No holds.").await;
    browser.go(&format!("{}/admin/conversations/{}", test.url, ids[0])).await;

    browser.click("main table a").await;
    browser.click("main a.danger").await;
    browser.until_text("main", "2 conversations will not be protected").await;
    browser.fill("#reason", "settled").await;
    browser.click("main button.danger").await;
    browser.until_text("main .facts", "released").await;
    let told = browser.text("main .facts").await;
    assert!(told.contains("letter of 3 March") && told.contains("by tester: settled"), "{told}");
    browser.go(&format!("{}/admin/purges/{purge}", test.url)).await;
    browser.until_text("#live table", "Smith v. Jones").await;
    let again = test.purge(&ids).await;
    assert_eq!(test.finished(again).await["counts"]["purged"], 2);
}

#[tokio::test]
async fn a_webhook_is_sent_again_and_an_endpoint_shows_its_secret_once() {
    let test = setup().start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..1]).await;
    let hooks = test.receiver.wait_for(1, |hook| hook.event() == "purge_completed").await;
    test.finished(purge).await;
    let browser = signed_in(&test.url, &test.key).await;
    browser.go(&format!("{}/admin/webhooks/deliveries?purge={purge}", test.url)).await;
    browser.click("main table a").await;
    browser.until_text("#live", "answered 204").await;
    let id = browser.text("#live .facts").await;
    browser.click("#redeliver").await;
    browser.until_text("#live", "Attempt 2").await;
    let sent = test.receiver.hooks();
    let twice = |id: &str| sent.iter().filter(|hook| hook.id == id).count() == 2;
    assert!(sent.iter().any(|hook| twice(&hook.id) && id.contains(&hook.id)), "{hooks:?}");

    browser.go(&format!("{}/admin/webhooks/new", test.url)).await;
    browser.fill("#url", &test.receiver.url).await;
    browser.click("main input[name='event:purge_completed']").await;
    browser.click("main input[name='event:purge_failed']").await;
    browser.click("main input[name='org:default']").await;
    browser.click("main button[type=submit]").await;
    browser.until_text("main .secret", "whsec_").await;
    browser.click("main a.button").await;
    browser.until_text("main .facts", "enabled").await;
    let endpoint = test.get("/webhook-endpoints").await["items"][0].clone();
    assert_eq!(endpoint["events"], json!(["purge_completed", "purge_failed"]), "{endpoint}");
    assert_eq!(endpoint["orgs"], json!(["default"]), "{endpoint}");
    assert!(!browser.text("main").await.contains("whsec_"));
    browser.click("main a[href$='/test']").await;
    browser.click("main button").await;
    browser.until_text("main", "It was delivered.").await;
}

#[tokio::test]
async fn an_org_is_stopped_with_a_reason_and_goes_on() {
    let test = setup().start().await;
    let browser = signed_in(&test.url, &test.key).await;
    browser.click("#stop-default").await;
    browser.until_text("h1", "Stop default?").await;
    browser.fill("#reason", "an audit").await;
    browser.click("main button.danger").await;
    browser.until_text("#live .org", "Stopped by tester").await;
    assert!(browser.text("#live .org").await.contains("an audit"));
    let org = test.get("/orgs/default").await;
    assert_eq!(org["stopped"]["reason"], "an audit", "{org}");
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..1]).await;
    browser.go(&format!("{}/admin/purges/{purge}", test.url)).await;
    browser.until_text("#live .notice", "org stopped").await;
    browser.go(&format!("{}/admin", test.url)).await;
    browser.click("#resume-default").await;
    browser.fill("#reason", "the audit is over").await;
    browser.click("main button.danger").await;
    browser.until_text("#live .org .state", "working").await;
    let told = browser.text("#live .org").await;
    assert!(told.contains("by tester: an audit") && told.contains("by tester: the audit is over"), "{told}");
    assert_eq!(test.finished(purge).await["state"], "completed");
}

#[tokio::test]
async fn whoever_is_not_signed_in_comes_back_to_where_they_wanted() {
    let test = setup().start().await;
    let browser = super::browser::Browser::start().await;
    browser.go(&test.url).await;
    browser.until_text("h1", "Sign in").await;
    browser.fill("#key", "gpk_wrong").await;
    browser.click("main button").await;
    browser.until_text(".notice", "not known").await;
    browser.go(&format!("{}/admin/purges?state=running", test.url)).await;
    browser.fill("#key", &test.key).await;
    browser.click("main button").await;
    browser.until_text("h1", "Purges").await;
    assert!(browser.url().await.ends_with("/admin/purges?state=running"));
    browser.click(".who button").await;
    browser.until_text("h1", "Sign in").await;
    browser.go(&format!("{}/admin", test.url)).await;
    browser.until_text("h1", "Sign in").await;
    let old = test.client.get(format!("{}/admin/keys", test.url)).send().await.unwrap();
    assert_eq!(old.status(), StatusCode::OK);
    assert!(old.url().path().ends_with("/sign-in"), "{}", old.url());
}
