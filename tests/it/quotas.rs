//! Quotas of keys: a caller that sends purges in a loop is told to wait, and no other is.

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::books::eventually;
use crate::support::service::read;
use crate::support::{Setup, TestService};

fn one(request: RequestBuilder, id: Uuid) -> RequestBuilder {
    request.json(&json!({ "conversationIds": [id], "org": "default" }))
}

async fn send(test: &TestService) -> Response {
    one(test.request(Method::POST, "/purges"), Uuid::from_u128(7)).send().await.unwrap()
}

/// It is refused for a quota, and told when to come again.
async fn assert_too_many(response: Response, seconds: u64, setting: &str) {
    let header = response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
    let (status, body): (_, Value) = read(response).await;
    assert_eq!((status, &body["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("too_many_purges")), "{body}");
    assert!(header.is_some_and(|header: u64| (1..=seconds).contains(&header)), "{header:?}");
    assert!(body["detail"].as_str().unwrap().contains(setting), "{body}");
}

#[tokio::test]
async fn who_has_sent_his_share_waits_and_neither_others_nor_repeats_do() {
    let test = Setup::new().role(Role::Api).env("PURGE__INTAKE__PURGES_PER_MINUTE", "2").start().await;
    let keyed = |key: &str| {
        one(test.request(Method::POST, "/purges"), Uuid::from_u128(1)).header("idempotency-key", key)
    };
    let first = read(keyed("known").send().await.unwrap()).await;
    assert_eq!(first.0, StatusCode::ACCEPTED, "{}", first.1);
    assert_eq!(send(&test).await.status(), StatusCode::ACCEPTED);

    let setting = "intake.purges_per_minute";
    assert_too_many(send(&test).await, 31, setting).await;
    assert_too_many(keyed("new").send().await.unwrap(), 31, setting).await;
    let upload = test.upload("text/csv", "?org=default", Uuid::from_u128(2).to_string());
    assert_too_many(upload.send().await.unwrap(), 31, setting).await;
    assert_eq!(test.number("select count(*) from purges").await, 2, "a refusal leaves nothing");

    assert_eq!(read(keyed("known").send().await.unwrap()).await, first, "what was accepted is told again");
    let other = test.make_key_of("other", &[Scope::PurgesWrite], None).await;
    let others = one(test.request_as(&other, Method::POST, "/purges"), Uuid::from_u128(3));
    assert_eq!(others.send().await.unwrap().status(), StatusCode::ACCEPTED, "another key");
    assert_eq!(test.request(Method::GET, "/purges").send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn who_has_too_many_open_waits_until_one_has_ended() {
    let test = Setup::new().env("PURGE__INTAKE__OPEN_PURGES_PER_KEY", "2").start().await;
    test.post("/orgs/default/stop", &json!({ "reason": "test" })).await;
    for &id in &test.ids_of(Kind::Eligible)[..2] {
        test.purge(&[id]).await;
    }
    assert_too_many(send(&test).await, 30, "intake.open_purges_per_key").await;
    assert_eq!(test.number("select count(*) from purges where key_id is not null").await, 2);
    test.post("/orgs/default/resume", &json!({})).await;
    eventually("one has ended", async || send(&test).await.status() == StatusCode::ACCEPTED).await;
}

#[tokio::test]
async fn what_is_refused_as_wrong_uses_nothing_up() {
    let setup = Setup::new().role(Role::Api).env("PURGE__INTAKE__PURGES_PER_MINUTE", "2");
    let test = setup.env("PURGE__INTAKE__OPEN_PURGES_PER_KEY", "3").start().await;
    let wrong = [
        ("application/json", "", "{", 400),
        ("application/json", "", "{\"conversationIds\":[\"x\"]}", 422),
        ("application/xml", "", "<a/>", 415),
        ("text/csv", "?dryrun=true", "", 400),
        ("text/csv", "?org=default", "no id\n", 422),
    ];
    for (media_type, query, body, status) in wrong.into_iter().cycle().take(10) {
        let refused = test.upload(media_type, query, body).send().await.unwrap();
        assert_eq!(refused.status().as_u16(), status, "{media_type} {body}");
    }
    for _ in 0..2 {
        assert_eq!(send(&test).await.status(), StatusCode::ACCEPTED);
    }
    assert_too_many(send(&test).await, 31, "intake.purges_per_minute").await;
}
