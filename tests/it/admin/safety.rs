//! Attacks: forms of other sites, markup in every text, and pages in frames.

use std::time::Duration;

use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use reqwest::StatusCode;
use serde_json::json;

use super::plain::{Plain, multipart};
use super::{setup, signed_in};

/// It would run where it is taken for markup: as an element, as the end of an attribute, as a script.
const MARKUP: &str = "'\"></script><img src=x onerror=window.isBroken=1><script>window.isBroken=1</script>";

#[tokio::test]
async fn a_form_of_another_site_or_session_changes_nothing() {
    let test = setup().start().await;
    let plain = Plain::sign_in(&test, &test.key).await;
    let (token, foreign) = (plain.token().await, Plain::sign_in(&test, &test.key).await.token().await);
    assert_ne!(token, foreign);
    let stop = |token: &str| plain.post("/admin/orgs/default/stop").form(&[("token", token)]);
    let file =
        |token: &str| multipart(plain.post("/admin/holds/new"), &[("token", token), ("matter", "m")], "x");
    let attempts = [
        stop(&token).header("sec-fetch-site", "cross-site"),
        stop(&token).header("sec-fetch-site", "same-site"),
        stop(&foreign),
        stop(""),
        plain.post("/admin/orgs/default/stop"),
        plain.post("/admin/orgs/default/stop").header("content-type", "text/plain").body("a=b"),
        file(&foreign),
        file(""),
        multipart(plain.post("/admin/purges/new"), &[("org", "default")], "x"),
        plain.post("/admin/sign-out").form(&[("token", &foreign)]),
        plain
            .client
            .post(format!("{}/admin/sign-in", test.url))
            .header("sec-fetch-site", "cross-site")
            .form(&[("key", &test.key)]),
    ];
    for (number, attempt) in attempts.into_iter().enumerate() {
        let response = attempt.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{number}");
        assert!(!response.headers().contains_key("set-cookie"), "{number}");
    }
    let other_cookie =
        Plain { cookie: "purge_session=AAAA".to_owned(), ..Plain::sign_in(&test, &test.key).await };
    let response =
        other_cookie.post("/admin/orgs/default/stop").form(&[("token", &token)]).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER, "it leads to where one signs in");
    assert!(test.get("/orgs/default").await["stopped"].is_null());
    assert_eq!(test.get("/holds").await["items"], json!([]));
    let done = stop(&token).header("sec-fetch-site", "same-origin").send().await.unwrap();
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    assert!(test.get("/orgs/default").await["stopped"].is_object());
}

#[tokio::test]
async fn markup_from_outside_is_shown_as_text() {
    let test = setup().start().await;
    test.receiver.answer_next(&[crate::support::receiver::Answer::Saying(500, MARKUP)]);
    let key = test.make_key_of(MARKUP, Scope::ALL, None).await;
    let refusal = json!({"message": MARKUP, "code": MARKUP}).to_string();
    test.fault(json!({"call": "submit", "fault": {"status": 400, "body": refusal}}));
    let id = test.ids_of(Kind::Eligible)[0];
    let wish =
        json!({"conversationIds": [id], "reason": MARKUP, "reference": MARKUP, "labels": {"a": MARKUP}});
    let asked = test.request_as(&key, reqwest::Method::POST, "/purges").json(&wish).send().await.unwrap();
    assert_eq!(asked.status(), StatusCode::ACCEPTED, "{:?}", asked.text().await);
    let purge: serde_json::Value = asked.json().await.unwrap();
    let purge = purge["id"].as_str().unwrap().to_owned();
    test.finished(purge.parse().unwrap()).await;
    let (_, hold) =
        test.post("/holds", &json!({"matter": MARKUP, "externalId": MARKUP, "conversationIds": [id]})).await;
    let endpoint = json!({"url": test.receiver.url, "description": MARKUP});
    let (status, endpoint) = test.post("/webhook-endpoints", &endpoint).await;
    assert_eq!(status, StatusCode::CREATED, "{endpoint}");
    test.post("/orgs/default/stop", &json!({"reason": MARKUP})).await;
    let deliveries = test.get(&format!("/webhook-deliveries?purge={purge}")).await;

    let browser = signed_in(&test.url, &key).await;
    let text = |value: &serde_json::Value| value["id"].as_str().unwrap().to_owned();
    let mut paths: Vec<String> =
        ["", "/purges", "/holds", "/keys", "/webhooks", "/webhooks/deliveries"].map(str::to_owned).to_vec();
    paths.extend([
        format!("/purges/{purge}"),
        format!("/purges/{purge}/conversations"),
        format!("/purges?reference={}", urlencoded(MARKUP)),
        format!("/purges?label={}", urlencoded(MARKUP)),
        format!("/conversations?id={}", urlencoded(MARKUP)),
        format!("/conversations/{id}"),
        format!("/holds/{}", text(&hold)),
        format!("/holds/{}/release", text(&hold)),
        format!("/webhooks/endpoints/{}", text(&endpoint)),
        format!("/sign-in?next={}", urlencoded(MARKUP)),
    ]);
    paths.extend(
        deliveries["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| format!("/webhooks/deliveries/{}", text(row))),
    );
    let mut shown = 0;
    for path in paths {
        browser.go(&format!("{}/admin{path}", test.url)).await;
        browser.until_text("h1", "").await;
        assert_eq!(browser.run("return document.images.length").await, 0, "{path}");
        assert_eq!(browser.run("return document.scripts.length").await, 1, "{path}");
        assert_eq!(browser.run("return window.isBroken === undefined").await, true, "{path}");
        shown += usize::from(browser.text("body").await.contains("onerror="));
    }
    assert!(shown > 8, "the texts were not shown at all: {shown}");
}

fn urlencoded(text: &str) -> String {
    reqwest::Url::parse_with_params("http://a/", [("a", text)]).unwrap().query().unwrap()[2..].to_owned()
}

#[tokio::test]
async fn pages_allow_nothing_but_their_own_files() {
    let test = setup().start().await;
    let plain = Plain::sign_in(&test, &test.key).await;
    for path in
        ["/admin", "/admin/sign-in", "/admin/no-such-page", "/admin/purges/no-id", "/admin/assets/admin.css"]
    {
        let response = plain.get(path).send().await.unwrap();
        let headers = response.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(rule) && !policy.contains("unsafe"), "{path}: {policy}");
        }
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        let is_asset = path.contains("/assets/");
        assert_eq!(headers["cache-control"] == "no-store", !is_asset, "{path}");
        let text = response.text().await.unwrap();
        for forbidden in [" style=", "<style", " onclick", "http://", "https://"] {
            let text = text.replace("http://www.w3.org/", "");
            assert!(is_asset || !text.contains(forbidden), "{path} has {forbidden}: {text}");
        }
    }
}

#[tokio::test]
async fn a_session_is_no_good_for_the_api_and_a_key_none_for_the_pages() {
    let test = setup().start().await;
    let plain = Plain::sign_in(&test, &test.key).await;
    let api = plain.get("/purges").send().await.unwrap();
    assert_eq!(api.status(), StatusCode::UNAUTHORIZED);
    let page = test.client.get(format!("{}/admin/keys", test.url)).bearer_auth(&test.key);
    let page = page.timeout(Duration::from_secs(10)).send().await.unwrap();
    assert!(page.url().path().ends_with("/sign-in"), "{}", page.url());
}
