//! Endpoints that fail: they delay no other, are paused, come back, and are disabled after long failure.

use genesys_purge::sandbox::Kind;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::endpoints::{near, register, send};
use super::purge_some;
use crate::support::TestService;
use crate::support::receiver::{Answer, Receiver, SECRET};

/// An address at which connections are taken and nothing is ever said.
async fn silence() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (format!("http://{}/", listener.local_addr().unwrap()), listener)
}

/// Ends so many purges of one conversation each, without a job.
async fn end_purges(test: &TestService, number: usize) {
    let held = test.ids_of(Kind::Eligible)[0];
    test.post("/holds", &json!({ "matter": "M", "conversationIds": [held] })).await;
    for _ in 0..number {
        test.finished(test.purge(&[held]).await).await;
    }
}

fn health(endpoint: &Value) -> String {
    format!("/webhook-endpoints/{}", endpoint["id"].as_str().unwrap())
}

#[tokio::test]
async fn an_endpoint_that_says_nothing_delays_no_other() {
    let test = near().env("PURGE__ENGINE__LEASE", "20m").env("PURGE__WEBHOOKS__TIMEOUT", "10m").start().await;
    let mut silent = Vec::new();
    for _ in 0..12 {
        let (url, listener) = silence().await;
        register(&test, json!({ "url": url, "secret": SECRET })).await;
        silent.push(listener);
    }
    let receiver = Receiver::start().await;
    register(&test, json!({ "url": receiver.url, "secret": SECRET })).await;
    end_purges(&test, 20).await;
    receiver.wait_for(20, |hook| hook.is_verified).await;
    test.receiver.wait_for(20, |_| true).await;
    let under_way = "select count(*) from deliveries where lease_until > now()";
    test.wait_until("two are under way to each", async || test.number(under_way).await == 24).await;
    let each = "select max(number)::bigint from (select count(*) as number from deliveries
                where lease_until > now() group by endpoint) of_each";
    assert_eq!(test.number(each).await, 2, "no more than two to each");
}

#[tokio::test]
async fn an_endpoint_that_fails_is_sent_little_until_it_works_again() {
    let test = near().env("PURGE__WEBHOOKS__RETRY_SCHEDULE", "1s,1s,1s,1s,1s,1s,1s,1s,1s,1s").start().await;
    let receiver = Receiver::start().await;
    let endpoint = register(&test, json!({ "url": receiver.url, "secret": SECRET })).await;
    receiver.answer_next(&[Answer::Status(500); 7]);
    end_purges(&test, 12).await;
    test.wait_until("it is left alone", async || {
        let told = test.get(&health(&endpoint)).await;
        told["failures"].as_i64() >= Some(5) && told["failingSince"].is_string()
    })
    .await;
    // All twelve come, one after the other at first, and then it is well.
    receiver.wait_for(12 + 7, |_| true).await;
    let delivered = "select count(*) from deliveries where endpoint <> 'retention' and state = 'delivered'";
    test.wait_until("all are delivered", async || test.number(delivered).await == 12).await;
    let told = test.get(&health(&endpoint)).await;
    assert_eq!(
        (&told["failures"], &told["failingSince"], &told["restingUntil"]),
        (&json!(0), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn an_endpoint_that_did_nothing_but_fail_is_disabled_and_the_operator_hears_of_it() {
    let test = near()
        .env("PURGE__WEBHOOKS__RETRY_SCHEDULE", "50ms,50ms,1h")
        .env("PURGE__WEBHOOKS__DISABLE_AFTER", "100ms")
        .start()
        .await;
    let receiver = Receiver::start().await;
    let endpoint =
        register(&test, json!({ "url": format!("{}?token=s3cret", receiver.url), "secret": SECRET })).await;
    receiver.answer_next(&[Answer::Status(500); 20]);
    end_purges(&test, 1).await;
    let [hook] = &test.receiver.wait_for(1, |hook| hook.event() == "endpoint_disabled").await[..] else {
        panic!()
    };
    assert_eq!(hook.body["endpointId"], endpoint["id"]);
    assert!(hook.body["reason"].as_str().unwrap().starts_with("only failures since"));
    assert!(!hook.text.contains("s3cret"), "{}", hook.text);
    let told = test.get(&health(&endpoint)).await;
    assert_eq!((&told["enabled"], &told["disabledReason"]), (&json!(false), &hook.body["reason"]));
    let metrics = test.request(reqwest::Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("genesys_purge_webhook_endpoints_disabled_total 1\n"), "{metrics}");
    let dead = "select count(*) from deliveries where endpoint <> 'retention' and state = 'dead'";
    test.wait_until("what waited is given up", async || test.number(dead).await == 1).await;
    // Enabled by hand it begins with a clean slate.
    receiver.answer_next(&[]);
    let (_, enabled) =
        send(&test, reqwest::Method::PATCH, &health(&endpoint), json!({ "enabled": true })).await;
    assert_eq!((&enabled["failures"], &enabled["disabledReason"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn who_is_gone_is_disabled_at_once() {
    let test = near().start().await;
    let receiver = Receiver::start().await;
    let endpoint = register(&test, json!({ "url": receiver.url, "secret": SECRET })).await;
    receiver.answer_next(&[Answer::Status(410)]);
    end_purges(&test, 1).await;
    let hooks = test.receiver.wait_for(1, |hook| hook.event() == "endpoint_disabled").await;
    assert_eq!(hooks[0].body["reason"], "the receiver answered 410: it is gone");
    assert_eq!(test.get(&health(&endpoint)).await["enabled"], false);
}

#[tokio::test]
async fn the_operators_own_receiver_is_never_disabled() {
    let test = near()
        .env("PURGE__WEBHOOKS__RETRY_SCHEDULE", "50ms")
        .env("PURGE__WEBHOOKS__DISABLE_AFTER", "1ms")
        .start()
        .await;
    test.receiver.answer_next(&[
        Answer::Status(500),
        Answer::Status(410),
        Answer::Status(500),
        Answer::Status(500),
    ]);
    purge_some(&test, 1).await;
    let dead = "select count(*) from deliveries where state = 'dead'";
    test.wait_until("both are dead", async || test.number(dead).await == 2).await;
    end_purges(&test, 1).await;
    test.wait_until("the next is delivered", async || {
        test.number("select count(*) from deliveries where state = 'delivered'").await == 1
    })
    .await;
}

#[tokio::test]
async fn one_attempt_that_can_not_be_recorded_harms_no_other() {
    let test = near().env("PURGE__WEBHOOKS__RETRY_SCHEDULE", "1h").start().await;
    test.sql(
        "create function refuse_one() returns trigger language plpgsql as $$
         begin
             if new.response = 'poison' then raise exception 'poison'; end if;
             return new;
         end $$;
         create trigger refuse_one before insert on delivery_attempts for each row execute function refuse_one()",
    )
    .await;
    // They end together.
    let [poisoned, healthy] = [Receiver::start().await, Receiver::start().await];
    for receiver in [&poisoned, &healthy] {
        register(&test, json!({ "url": receiver.url, "secret": SECRET })).await;
    }
    poisoned.answer_next(&[Answer::Saying(200, "poison"); 9]);
    end_purges(&test, 3).await;
    healthy.wait_for(3, |_| true).await;
    poisoned.wait_for(3, |_| true).await;
    let recorded = "select count(*) from deliveries where state = 'delivered'";
    test.wait_until("what can be recorded is", async || test.number(recorded).await == 6).await;
    assert_eq!(test.number("select count(*) from deliveries where state = 'pending'").await, 3);
}

#[tokio::test]
async fn what_is_for_an_endpoint_of_a_later_version_is_left_alone_and_holds_up_nobody() {
    let test = near().start().await;
    test.sql(
        "insert into events (id, type, actor, payload, at)
         values ('00000000-0000-0000-0000-000000000001', 'purge_completed', 'engine', '{}', now());
         insert into deliveries (id, event_id, endpoint, payload, due_at, run_at)
         select gen_random_uuid(), '00000000-0000-0000-0000-000000000001', endpoint, '{}', now(), '9999-01-01'
         from unnest(array['queue:a', 'zzz', '!']) as e (endpoint)",
    )
    .await;
    end_purges(&test, 1).await;
    test.receiver.wait_for(1, |_| true).await;
    assert_eq!(
        test.number("select count(*) from deliveries where state = 'pending' and endpoint <> 'retention'")
            .await,
        3
    );
}
