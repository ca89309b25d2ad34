//! Payloads have exactly the fields of the OpenAPI document.

use genesys_purge::api;
use genesys_purge::sandbox::Kind;
use reqwest::Method;
use serde_json::{Value, json};

use super::endpoints::{near, register};
use crate::openapi::fits;
use crate::support::receiver::{Answer, Hook, Receiver, SECRET};

#[tokio::test]
async fn every_event_has_a_schema_that_its_webhook_fits() {
    let test =
        near().sandbox(|org| org.failed_share = 0.0).env("PURGE__ENGINE__MAX_ATTEMPTS", "1").start().await;
    let receiver = Receiver::start().await;
    let endpoint = register(&test, json!({ "url": receiver.url, "secret": SECRET })).await;
    let gone = Receiver::start().await;
    register(&test, json!({ "url": gone.url, "secret": SECRET, "events": ["purge_completed"] })).await;
    gone.answer_next(&[Answer::Status(410)]);
    let ids = test.ids_of(Kind::Eligible);
    test.finished(test.purge(&ids[..2]).await).await;
    // One ends canceled while nothing may be done, one fails.
    test.post("/orgs/default/stop", &json!({})).await;
    let canceled = test.purge(&ids[10..12]).await;
    test.post(&format!("/purges/{canceled}/cancel"), &json!({})).await;
    test.finished(canceled).await;
    test.request(Method::POST, "/orgs/default/resume").send().await.unwrap();
    test.fault(json!({ "call": "submit", "times": 1, "fault": { "status": 451 } }));
    test.finished(test.purge(&ids[20..22]).await).await;
    // The org is refused once.
    test.fault(json!({ "call": "details", "times": 1, "fault": { "status": 403 } }));
    let refused = test.purge(&ids[30..31]).await;
    let blocked = "select count(*) from orgs where blocked_code is not null";
    test.wait_until("the org is blocked", async || test.number(blocked).await == 1).await;
    test.sql("update orgs set probe_at = now()").await;
    test.finished(refused).await;
    test.request(Method::POST, &format!("/webhook-endpoints/{}/test", endpoint["id"].as_str().unwrap()))
        .send()
        .await
        .unwrap();

    let document: Value = serde_json::from_str(&api::document_json().unwrap()).unwrap();
    let told = document["webhooks"].as_object().unwrap();
    for event in told.keys() {
        let hooks = receiver.wait_for(1, |hook| hook.event() == event).await;
        let to_operator = test.receiver.hooks();
        let all = hooks.iter().chain(to_operator.iter().filter(|hook| hook.event() == event));
        let schema = &told[event]["post"]["requestBody"]["content"]["application/json"]["schema"];
        for Hook { body, headers, .. } in all {
            fits(&document, schema, body, true, event);
            for parameter in told[event]["post"]["parameters"].as_array().unwrap() {
                assert!(headers.contains_key(parameter["name"].as_str().unwrap()), "{headers:?}");
            }
        }
    }
    assert!(receiver.hooks().iter().all(|hook| told.contains_key(hook.event())));
}
