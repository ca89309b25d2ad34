//! Endpoints that callers register: they get the events that they chose, signed by their secret; changed, tested,
//! deleted.

use std::collections::BTreeSet;

use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{is_job, purge_some};
use crate::support::problem::{pointers, refused};
use crate::support::receiver::{Answer, Hook, Receiver, SECRET};
use crate::support::service::read;
use crate::support::{Setup, TestService};

/// A service whose callers' receivers may be on this machine.
pub fn near() -> Setup {
    Setup::new()
        .env("PURGE__WEBHOOKS__ALLOWED_NETWORKS", "127.0.0.0/8")
        .env("PURGE__WEBHOOKS__ALLOWED_PORTS", "1-65535")
}

/// Registers one; its body with the secret.
pub async fn register(test: &TestService, body: Value) -> Value {
    let (status, body) = test.post("/webhook-endpoints", &body).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    body
}

/// Sends a body by that method as the test's key.
pub async fn send(test: &TestService, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    read(test.request(method, path).json(&body).send().await.unwrap()).await
}

fn path(endpoint: &Value) -> String {
    format!("/webhook-endpoints/{}", endpoint["id"].as_str().unwrap())
}

fn is_verified_by(hook: &Hook, secret: &Value) -> bool {
    let headers = hook.headers.iter().filter(|(name, _)| name.starts_with("webhook-"));
    let headers: axum::http::HeaderMap =
        headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    let webhook = standardwebhooks::Webhook::new(secret.as_str().unwrap()).unwrap();
    webhook.verify(hook.text.as_bytes(), &headers).is_ok()
}

#[tokio::test]
async fn an_endpoint_is_told_of_each_purge_that_a_job_carried_and_of_its_end_in_that_order() {
    let test = near().start().await;
    let receiver = Receiver::start().await;
    let endpoint =
        register(&test, json!({ "url": receiver.url, "secret": SECRET, "description": "dw" })).await;
    assert_eq!((&endpoint["enabled"], &endpoint["signing"]), (&json!(true), &json!("hmac")));
    let ids = test.ids_of(Kind::Eligible);
    let (first, second) = (test.purge(&ids[..3]).await, test.purge(&ids[3..5]).await);
    for (purge, number) in [(first, 3), (second, 2)] {
        test.finished(purge).await;
        let hooks = receiver.wait_for(2, |hook| hook.body["purgeId"] == json!(purge)).await;
        let told: Vec<_> = hooks.iter().map(Hook::event).collect();
        assert_eq!(told, ["purge_job_completed", "purge_completed"]);
        assert_eq!(hooks[0].body["recordsProcessed"], number, "its own that are gone: {}", hooks[0].body);
        assert!(hooks.iter().all(|hook| hook.is_verified));
        // The history has the same row, under the same id.
        let history = test.get(&format!("/purges/{purge}/events")).await;
        let of_history = |hook: &Hook| {
            let events = history["items"].as_array().unwrap();
            events.iter().find(|event| event["id"] == hook.id).map(|event| event["payload"].clone())
        };
        for hook in &hooks {
            assert_eq!(of_history(hook).as_ref(), Some(&hook.body), "{history}");
        }
    }
    // The operator hears of each upstream job once, with what upstream said.
    let told = test.receiver.wait_for(3, |_| true).await;
    assert_eq!(
        told.iter()
            .filter(|hook| is_job(hook))
            .map(|hook| hook.body["recordsProcessed"].as_i64())
            .sum::<Option<i64>>(),
        Some(5)
    );
    let deliveries =
        test.get(&format!("/webhook-deliveries?endpoint={}", endpoint["id"].as_str().unwrap())).await;
    assert_eq!(deliveries["items"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn an_endpoint_hears_of_the_events_and_orgs_that_it_asked_for() {
    let test = near().second_org().start().await;
    let [ends, others, all] = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    let of = |receiver: &Receiver, events: Value, orgs: Value| json!({ "url": receiver.url, "secret": SECRET, "events": events, "orgs": orgs });
    register(&test, of(&ends, json!(["purge_completed"]), json!(["default"]))).await;
    register(&test, of(&others, Value::Null, json!(["eu"]))).await;
    register(&test, of(&all, Value::Null, Value::Null)).await;
    let ids = test.ids_of(Kind::Eligible);
    let request = json!({ "conversationIds": [ids[0]], "org": "default" });
    test.finished(test.purge_with(request).await).await;
    all.wait_for(2, |_| true).await;
    assert_eq!(
        ends.wait_for(1, |_| true).await.iter().map(Hook::event).collect::<Vec<_>>(),
        ["purge_completed"]
    );
    assert!(others.hooks().is_empty());
}

#[tokio::test]
async fn a_dry_run_does_not_look_like_a_purge_and_labels_are_told() {
    let test = near().start().await;
    let receiver = Receiver::start().await;
    register(&test, json!({ "url": receiver.url, "secret": SECRET })).await;
    let id = test.ids_of(Kind::Eligible)[0];
    let request = json!({ "conversationIds": [id], "dryRun": true, "labels": { "team": "dpo" } });
    test.finished(test.purge_with(request).await).await;
    let [hook] = &receiver.wait_for(1, |_| true).await[..] else { panic!() };
    assert_eq!((&hook.body["dryRun"], &hook.body["labels"]), (&json!(true), &json!({ "team": "dpo" })));
}

#[tokio::test]
async fn the_largest_payload_stays_below_twenty_kib() {
    let test = near().start().await;
    let receiver = Receiver::start().await;
    register(&test, json!({ "url": receiver.url, "secret": SECRET })).await;
    let wide = "\u{1f5d1}".repeat(98);
    let labels: serde_json::Map<_, _> =
        (0..20).map(|number| (format!("{number:02}{wide}"), json!("\u{1f5d1}".repeat(100)))).collect();
    let request = json!({
        "conversationIds": [test.ids_of(Kind::Eligible)[0]], "labels": labels, "reference": "\u{1f5d1}".repeat(200),
    });
    test.finished(test.purge_with(request).await).await;
    let hooks = receiver.wait_for(2, |_| true).await;
    let largest = hooks.iter().map(|hook| hook.text.len()).max().unwrap();
    assert!((16_000..=20 * 1024).contains(&largest), "{largest}");
}

#[tokio::test]
async fn secrets_are_told_once_and_both_sign_for_a_day_after_a_rotation() {
    let test = near().start().await;
    let receiver = Receiver::start().await;
    let endpoint = register(&test, json!({ "url": receiver.url })).await;
    let before = &endpoint["secret"];
    assert!(before.as_str().unwrap().starts_with("whsec_"));
    assert!(test.get(&path(&endpoint)).await.get("secret").is_none());
    purge_some(&test, 1).await;
    assert!(receiver.wait_for(2, |_| true).await.iter().all(|hook| is_verified_by(hook, before)));

    let (status, rotated) =
        send(&test, Method::POST, &format!("{}/rotate-secret", path(&endpoint)), json!({})).await;
    assert_eq!(status, StatusCode::OK, "{rotated}");
    let after = &rotated["secret"];
    assert_ne!(after, before);
    assert!(rotated["previousSecretUntil"].is_string());
    test.finished(test.purge(&test.ids_of(Kind::Eligible)[10..11]).await).await;
    let both = receiver.wait_for(4, |_| true).await;
    assert!(both[2..].iter().all(|hook| is_verified_by(hook, before) && is_verified_by(hook, after)));

    test.sql("update webhook_endpoints set previous_until = now()").await;
    test.finished(test.purge(&test.ids_of(Kind::Eligible)[20..21]).await).await;
    let alone = receiver.wait_for(6, |_| true).await;
    assert!(alone[4..].iter().all(|hook| !is_verified_by(hook, before) && is_verified_by(hook, after)));
    assert_eq!(test.get(&path(&endpoint)).await["previousSecretUntil"], Value::Null);
}

#[tokio::test]
async fn who_checks_by_a_public_key_could_not_sign() {
    let test = near().start().await;
    let receiver = Receiver::start().await;
    let endpoint = register(&test, json!({ "url": receiver.url, "signing": "ed25519" })).await;
    assert_eq!((&endpoint["secret"], &endpoint["signing"]), (&Value::Null, &json!("ed25519")));
    assert!(endpoint["publicKey"].as_str().unwrap().starts_with("whpk_"));
    purge_some(&test, 1).await;
    let hooks = receiver.wait_for(2, |_| true).await;
    assert!(hooks.iter().all(|hook| hook.headers["webhook-signature"].starts_with("v1a,")));
}

#[tokio::test]
async fn a_ping_is_sent_now_and_its_answer_told() {
    let test = near().start().await;
    let receiver = Receiver::start().await;
    let endpoint = register(&test, json!({ "url": receiver.url, "secret": SECRET, "enabled": false })).await;
    let ping = format!("{}/test", path(&endpoint));
    receiver.answer_next(&[Answer::Saying(418, "no coffee")]);
    let (status, told) = read(test.request(Method::POST, &ping).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    assert_eq!(
        (&told["delivered"], &told["status"], &told["response"]),
        (&json!(false), &json!(418), &json!("no coffee"))
    );
    let (_, taken) = read(test.request(Method::POST, &ping).send().await.unwrap()).await;
    assert_eq!((&taken["delivered"], &taken["error"]), (&json!(true), &Value::Null));
    let hooks = receiver.hooks();
    assert_eq!(hooks[1].id, taken["webhookId"].as_str().unwrap());
    assert!(hooks.iter().all(|hook| hook.is_verified && hook.event() == "ping"));
    assert_eq!(test.number("select count(*) from deliveries").await, 0);
}

#[tokio::test]
async fn an_endpoint_that_is_disabled_or_deleted_is_told_nothing_and_what_waited_for_it_is_given_up() {
    let test = near().env("PURGE__WEBHOOKS__RETRY_SCHEDULE", "1h").start().await;
    let receiver = Receiver::start().await;
    let endpoint = register(&test, json!({ "url": receiver.url, "secret": SECRET })).await;
    receiver.answer_next(&[Answer::Status(500), Answer::Status(500)]);
    purge_some(&test, 1).await;
    receiver.wait_for(2, |_| true).await;
    let dead = format!(
        "select count(*) from deliveries where endpoint = '{}' and state = 'dead'
         and last_error = 'not sent: the endpoint is disabled or deleted'",
        endpoint["id"].as_str().unwrap()
    );
    let waits = "select count(*) from deliveries where endpoint <> 'retention' and attempt = 1 and lease_until is null";
    test.wait_until("both attempts are recorded", async || test.number(waits).await == 2).await;
    let (status, disabled) = send(&test, Method::PATCH, &path(&endpoint), json!({ "enabled": false })).await;
    assert_eq!((status, &disabled["enabled"]), (StatusCode::OK, &json!(false)));
    assert!(disabled["disabledAt"].is_string() && disabled["disabledReason"].is_null());
    test.wait_until("what waited is given up", async || test.number(&dead).await == 2).await;
    test.finished(test.purge(&test.ids_of(Kind::Eligible)[10..11]).await).await;
    assert_eq!(receiver.hooks().len(), 2);

    // Enabled again, it is sent what comes, and what was given up where somebody asks for it.
    send(&test, Method::PATCH, &path(&endpoint), json!({ "enabled": true })).await;
    let order = json!({ "since": "2026-01-01T00:00:00Z", "state": "dead" });
    let (_, again) = test.post("/webhook-deliveries/redeliver", &order).await;
    assert_eq!(again["redelivered"], 2);
    receiver.wait_for(4, |_| true).await;
    let deleted = test.request(Method::DELETE, &path(&endpoint)).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let gone = test.request(Method::GET, &path(&endpoint)).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    test.finished(test.purge(&test.ids_of(Kind::Eligible)[20..21]).await).await;
    assert_eq!(receiver.hooks().len(), 4);
    assert_eq!(test.get("/webhook-endpoints").await["items"], json!([]));
    let acts = "select count(*) from events where type like 'endpoint%' and actor = 'tester' and request_id is not null";
    assert_eq!(test.number(acts).await, 4, "created, changed twice, deleted");
}

#[tokio::test]
async fn what_a_change_leaves_out_stays_and_null_is_a_wish() {
    let test = near().second_org().start().await;
    let endpoint = register(
        &test,
        json!({ "url": "http://127.0.0.1:9/a", "description": "d", "events": ["purge_failed"], "orgs": ["default"] }),
    )
    .await;
    let change = async |body: Value| {
        let (status, body) = send(&test, Method::PATCH, &path(&endpoint), body).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        json!([body["url"], body["description"], body["events"], body["orgs"]])
    };
    let before = json!(["http://127.0.0.1:9/a", "d", ["purge_failed"], ["default"]]);
    assert_eq!(change(json!({})).await, before);
    assert_eq!(
        change(json!({ "description": null })).await,
        json!(["http://127.0.0.1:9/a", null, ["purge_failed"], ["default"]])
    );
    assert_eq!(
        change(json!({ "url": "http://127.0.0.1:10/", "events": null, "orgs": ["eu", "default"] })).await,
        json!(["http://127.0.0.1:10/", null, null, ["default", "eu"]])
    );
}

#[tokio::test]
async fn what_is_wrong_with_an_endpoint_is_told_at_its_place() {
    let test = Setup::new().start().await;
    let url = "https://receiver.example/hooks";
    let table = [
        (json!({}), "/url"),
        (json!({ "url": "receiver" }), "/url"),
        (json!({ "url": "ftp://receiver.example/" }), "/url"),
        (json!({ "url": "https://me:pw@receiver.example/" }), "/url"),
        (json!({ "url": "https://receiver.example:22/" }), "/url"),
        (json!({ "url": "http://127.0.0.1/" }), "/url"),
        (json!({ "url": "http://169.254.169.254/latest" }), "/url"),
        (json!({ "url": "http://[::ffff:10.0.0.1]/" }), "/url"),
        (json!({ "url": url, "events": [] }), "/events"),
        (json!({ "url": url, "events": ["purge_begun"] }), "/events/0"),
        (json!({ "url": url, "orgs": [] }), "/orgs"),
        (json!({ "url": url, "orgs": ["nowhere"] }), "/orgs"),
        (json!({ "url": url, "secret": "whsec_short" }), "/secret"),
        (json!({ "url": url, "secret": "s3cret" }), "/secret"),
        (json!({ "url": url, "secret": SECRET, "signing": "hmac" }), "/signing"),
        (json!({ "url": url, "signing": "rsa" }), "/signing"),
        (json!({ "url": url, "description": "x".repeat(201) }), "/description"),
        (json!({ "url": url, "surprise": 1 }), "/surprise"),
    ];
    for (body, pointer) in table {
        let (status, problem) = test.post("/webhook-endpoints", &body).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid_request")),
            "{body}"
        );
        let at = pointers(&problem);
        assert_eq!(at, [pointer], "{body}: {problem}");
        assert!(!problem.to_string().contains("10.0.0.1"), "{problem}");
    }
    for number in 0..100 {
        register(&test, json!({ "url": format!("{url}/{number}") })).await;
    }
    let (status, problem) = test.post("/webhook-endpoints", &json!({ "url": url })).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("too_many_endpoints")));
    let mut seen = BTreeSet::new();
    let mut next = String::new();
    loop {
        let page = test.get(&format!("/webhook-endpoints?limit=30{next}")).await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].to_string()));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(seen.len(), 100);
}

#[tokio::test]
async fn a_key_sees_the_endpoints_of_its_orgs_alone() {
    let test = near().second_org().start().await;
    let key = test.make_key(&[Scope::WebhooksWrite, Scope::PurgesRead], Some(&["eu"])).await;
    let url = "http://127.0.0.1:9/";
    let everywhere = register(&test, json!({ "url": url })).await;
    let mixed = register(&test, json!({ "url": url, "orgs": ["default", "eu"] })).await;
    let own = test.request_as(&key, Method::POST, "/webhook-endpoints").json(&json!({ "url": url }));
    let (status, own) = read(own.send().await.unwrap()).await;
    assert_eq!((status, &own["orgs"]), (StatusCode::CREATED, &json!(["eu"])), "no more than it reaches");
    let list = read(test.request_as(&key, Method::GET, "/webhook-endpoints").send().await.unwrap()).await.1;
    assert_eq!(
        list["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect::<Vec<_>>(),
        [&own["id"]]
    );
    for hidden in [&everywhere, &mixed] {
        for (method, suffix) in [
            (Method::GET, ""),
            (Method::PATCH, ""),
            (Method::DELETE, ""),
            (Method::POST, "/test"),
            (Method::POST, "/rotate-secret"),
        ] {
            let path = format!("{}{suffix}", path(hidden));
            let request = test.request_as(&key, method.clone(), &path);
            let request = if method == Method::PATCH { request.json(&json!({})) } else { request };
            refused(request, 404, "not_found").await;
        }
    }
    let wide = test.request_as(&key, Method::PATCH, &path(&own)).json(&json!({ "orgs": ["default"] }));
    refused(wide, 422, "invalid_request").await;
}

#[tokio::test]
async fn the_receiver_of_a_purge_is_told_of_that_purge_alone_by_a_secret_of_its_own() {
    let test = near().start().await;
    let receiver = Receiver::start().await;
    let ids = test.ids_of(Kind::Eligible);
    let request = json!({ "conversationIds": [ids[0], ids[1]], "webhookUrl": receiver.url });
    let send = async || {
        let request = test.request(Method::POST, "/purges").header("Idempotency-Key", "k").json(&request);
        read(request.send().await.unwrap()).await
    };
    let (status, purge) = send().await;
    assert_eq!(status, StatusCode::ACCEPTED, "{purge}");
    assert_eq!(send().await.1, purge, "whoever lost the answer is told the secret again");
    let other = test.purge(&ids[2..4]).await;
    test.finished(other).await;
    let id: Uuid = purge["id"].as_str().unwrap().parse().unwrap();
    assert!(test.finished(id).await.get("webhookSecret").is_none());
    let hooks = receiver.wait_for(2, |_| true).await;
    assert!(
        hooks
            .iter()
            .all(|hook| hook.body["purgeId"] == purge["id"] && is_verified_by(hook, &purge["webhookSecret"]))
    );
    assert_eq!(hooks.iter().map(Hook::event).collect::<Vec<_>>(), ["purge_job_completed", "purge_completed"]);
    let endpoint =
        test.get(&format!("/webhook-endpoints/{}", purge["webhookEndpointId"].as_str().unwrap())).await;
    assert_eq!((&endpoint["purgeId"], &endpoint["orgs"]), (&purge["id"], &json!(["default"])));
    assert_eq!(test.get("/webhook-endpoints").await["items"], json!([]));

    // By an upload, and one whose address is not allowed.
    let query = format!("?webhookUrl={}", receiver.url);
    let (status, _) =
        read(test.upload("text/csv", &query, format!("{}\n", ids[4])).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    receiver.wait_for(4, |_| true).await;
    let bad = json!({ "conversationIds": [ids[5]], "webhookUrl": "http://10.0.0.1/" });
    let (status, problem) = test.post("/purges", &bad).await;
    assert_eq!((status, pointers(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, vec!["/webhookUrl"]));
}
