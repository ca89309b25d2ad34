//! Redelivery by hand: the same id, a new schedule, no concurrent attempt, and a record of each attempt.

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{claim, delivery, delivery_in, impatient};
use crate::support::problem::{pointers, refused};
use crate::support::receiver::{Answer, Hook};
use crate::support::service::read;
use crate::support::{Setup, TestService};

/// Has one webhook written, whose receiver answers so, and waits for its first attempt.
async fn one(test: &TestService, answers: &[Answer]) -> Hook {
    let number = test.receiver.hooks().len();
    test.receiver.answer_next(answers);
    let held = test.ids_of(Kind::Eligible)[0];
    test.post("/holds", &json!({ "matter": "M", "conversationIds": [held] })).await;
    test.finished(test.purge(&[held]).await).await;
    test.receiver.wait_for(number + 1, |_| true).await.remove(number)
}

/// The delivery of that webhook, as the list tells it.
async fn listed(test: &TestService, hook: &Hook) -> Value {
    let page = test.get("/webhook-deliveries").await;
    let mut found = page["items"].as_array().unwrap().iter().filter(|item| item["webhookId"] == hook.id);
    found.next().unwrap_or_else(|| panic!("{page}")).clone()
}

async fn redeliver(test: &TestService, id: &str) -> Value {
    let path = format!("/webhook-deliveries/{id}/redeliver");
    let request = test.request(Method::POST, &path).header("X-Request-Id", "by-hand");
    let (status, body) = read(request.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    body
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

#[tokio::test]
async fn a_dead_webhook_is_sent_again_under_its_id_with_a_fresh_schedule_and_its_attempts_are_told() {
    let test = impatient("50ms").start().await;
    let first = one(&test, &[Answer::Saying(500, "sorry"), Answer::Endless(503)]).await;
    delivery_in(&test, &first.id, "dead").await;
    let dead = listed(&test, &first).await;
    assert_eq!(
        (&dead["state"], &dead["attempt"], &dead["endpoint"]),
        (&json!("dead"), &json!(2), &json!("retention"))
    );
    assert_eq!((&dead["event"], &dead["org"]), (&json!("purge_completed"), &json!("default")));
    assert_eq!((&dead["purgeId"], &dead["nextAttemptAt"]), (&first.body["purgeId"], &Value::Null));

    // A fresh schedule: it is tried twice once more.
    test.receiver.answer_next(&[Answer::Status(502)]);
    let id = text(&dead["id"]);
    let again = redeliver(&test, id).await;
    assert_eq!(
        (&again["id"], &again["state"], &again["attempt"]),
        (&dead["id"], &json!("pending"), &json!(2))
    );
    delivery_in(&test, &first.id, "delivered").await;
    let hooks = test.receiver.hooks();
    assert_eq!(hooks.len(), 4);
    assert!(hooks.iter().all(|hook| hook.is_verified && hook.id == first.id && hook.text == first.text));

    let whole = test.get(&format!("/webhook-deliveries/{id}")).await;
    assert_eq!((&whole["state"], text(&whole["payload"])), (&json!("delivered"), first.text.as_str()));
    let attempts = whole["attempts"].as_array().unwrap();
    let told: Vec<_> = attempts.iter().map(|attempt| (&attempt["attempt"], &attempt["status"])).collect();
    let expected = json!([[4, 204], [3, 502], [2, 503], [1, 500]]);
    assert_eq!(json!(told), expected, "{whole}");
    assert!(attempts.iter().all(|attempt| attempt["latencySeconds"].as_f64().unwrap() > 0.0), "{whole}");
    assert_eq!((&attempts[0]["error"], &attempts[0]["response"]), (&Value::Null, &json!("")));
    assert_eq!(attempts[3]["response"], "sorry");
    assert_eq!(attempts[3]["error"], "the receiver answered 500: sorry");
    let endless = text(&attempts[2]["response"]);
    assert!(endless.len() == 4096 && endless.starts_with("without end. without"), "{}", endless.len());

    // One that was taken is sent once more, too.
    redeliver(&test, id).await;
    test.receiver.wait_for(5, |hook| hook.id == first.id).await;
    let acts = "select count(*) from events where type = 'webhooks_redelivered' and actor = 'tester'
                and request_id = 'by-hand' and org = 'default' and payload->>'deliveryId' = ";
    assert_eq!(test.number(&format!("{acts}'{id}'")).await, 2);
    let metrics = test.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    for state in ["dead", "delivered"] {
        let line = format!("genesys_purge_webhooks_redelivered_total{{state=\"{state}\"}} 1\n");
        assert!(metrics.contains(&line), "{line}");
    }
}

#[tokio::test]
async fn a_receiver_that_asks_for_silence_gets_it_and_one_that_is_gone_gets_nothing_more() {
    let waits = |delivery: &Value| {
        let at = |name: &str| text(&delivery[name]).parse::<Timestamp>().unwrap();
        at("nextAttemptAt").duration_since(at("createdAt")).as_secs()
    };
    let test = impatient("10m,10m").start().await;
    // Up to a fifth of a wait is chance, and the attempt may take its time.
    for (asked, expected) in [
        ("3600", 3600..4400),
        ("1", 600..800),
        ("soon", 600..800),
        ("Tue, 31 Dec 2999 23:59:59 GMT", 86_400..103_800),
    ] {
        let hook = one(&test, &[Answer::RetryAfter(429, asked)]).await;
        test.wait_until("it is recorded", async || listed(&test, &hook).await["attempt"] == 1).await;
        let wait = waits(&listed(&test, &hook).await);
        assert!(expected.contains(&wait), "{asked}: {wait} s");
    }
    let gone = one(&test, &[Answer::Status(410)]).await;
    let dead = delivery_in(&test, &gone.id, "dead").await;
    assert_eq!((dead.attempt, dead.last_status), (1, Some(410)));
    assert_eq!(dead.last_error.as_deref(), Some("the receiver answered 410: it is gone"));
}

#[tokio::test]
async fn a_pending_webhook_is_made_due_now() {
    let test = impatient("1h").start().await;
    let hook = one(&test, &[Answer::Status(500)]).await;
    test.wait_until("it is recorded", async || listed(&test, &hook).await["attempt"] == 1).await;
    redeliver(&test, text(&listed(&test, &hook).await["id"])).await;
    assert_eq!(delivery_in(&test, &hook.id, "delivered").await.attempt, 2);
}

#[tokio::test]
async fn beside_an_attempt_that_is_under_way_nobody_sends_and_no_wish_is_lost() {
    // The schedule has one wait: the second attempt would be the last.
    let test = impatient("50ms").env("PURGE__WEBHOOKS__TIMEOUT", "20s").start().await;
    let hook = one(&test, &[Answer::Status(500), Answer::Held(500)]).await;
    test.receiver.wait_for(2, |_| true).await;
    let before = listed(&test, &hook).await;
    redeliver(&test, text(&before["id"])).await;
    let store = test.store().await;
    let claimed = claim(&store).await;
    store.close().await;
    assert!(claimed.is_empty(), "it is under lease: {claimed:?}");
    assert_eq!(test.receiver.hooks().len(), 2);

    // That one fails: without the wish the delivery would be dead.
    test.receiver.answer_next(&[Answer::Status(500)]);
    test.receiver.let_go();
    assert_eq!(
        delivery_in(&test, &hook.id, "delivered").await.attempt,
        4,
        "at once, and by a fresh schedule"
    );

    // One that succeeds is the one that was wished for.
    let held = one(&test, &[Answer::Held(204)]).await;
    redeliver(&test, text(&listed(&test, &held).await["id"])).await;
    test.receiver.let_go();
    assert_eq!(delivery_in(&test, &held.id, "delivered").await.attempt, 1);
    assert_eq!(test.receiver.hooks().iter().filter(|hook| hook.id == held.id).count(), 1);
}

#[tokio::test]
async fn a_wish_and_the_record_of_an_attempt_meet_in_either_order_and_both_count() {
    let test = impatient("1h").start().await;
    for round in 0..6 {
        let hook = one(&test, &[Answer::Held(500)]).await;
        let id = listed(&test, &hook).await["id"].clone();
        test.receiver.let_go();
        redeliver(&test, text(&id)).await;
        delivery_in(&test, &hook.id, "delivered").await;
        let told = test.get(&format!("/webhook-deliveries/{}", text(&id))).await;
        let statuses: Vec<_> =
            told["attempts"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
        assert_eq!(json!(statuses), json!([204, 500]), "round {round}: {told}");
    }
}

/// So many deliveries of the org, dead, written a minute apart, the last one at 13:00.
async fn write_dead(test: &TestService, org: &str, number: usize) {
    let event = Uuid::from_u128(org.len() as u128);
    test.sql(&format!(
        "insert into events (id, type, org, actor, payload, at)
         values ('{event}', 'purge_job_completed', nullif('{org}', ''), 'engine', '{{}}', now());
         insert into deliveries (id, event_id, endpoint, payload, state, attempt, created_at)
         select gen_random_uuid(), '{event}', 'retention', '{{}}', 'dead', 2,
                timestamptz '2026-01-01 13:00Z' - no * interval '1 minute'
         from generate_series(0, {number} - 1) no"
    ))
    .await;
}

async fn order(test: &TestService, key: &str, body: Value) -> Value {
    let request = test.request_as(key, Method::POST, "/webhook-deliveries/redeliver").json(&body);
    let (status, body) = read(request.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    body
}

#[tokio::test]
async fn all_that_are_dead_since_a_time_are_sent_again_a_batch_a_transaction() {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    for (org, number) in [("default", 1201), ("eu", 3), ("", 2)] {
        write_dead(&test, org, number).await;
    }
    let pending = async |org: &str| {
        let sql = "select count(*) from deliveries where state = 'pending' and schedule_from = 2
                   and run_at <= clock_timestamp() and coalesce(org, '') = ";
        test.number(&format!("{sql}'{org}'")).await
    };
    let eu = test.make_key(&[Scope::WebhooksWrite], Some(&["eu"])).await;
    let since = |time: &str| json!({ "since": time, "state": "dead" });
    let done = |number: u64| json!({ "redelivered": number, "nextCursor": null });
    assert_eq!(order(&test, &eu, since("2026-01-01T12:59:00Z")).await, done(2), "that minute is among them");
    assert_eq!([pending("default").await, pending("eu").await, pending("").await], [0, 2, 0]);
    assert_eq!(order(&test, &test.key, since("2026-01-01T13:00:01Z")).await, done(0));
    assert_eq!(order(&test, &test.key, since("-009999-01-03T00:00:00Z")).await, done(1204));
    assert_eq!([pending("default").await, pending("eu").await, pending("").await], [1201, 3, 2]);
    let noted = "select count(*), sum((payload->>'number')::int)::bigint from events
                 where type = 'webhooks_redelivered' and request_id is not null and org is not distinct from ";
    for (org, number) in [("'default'", 1201), ("'eu'", 3), ("null", 2)] {
        let sum = format!("select sum from ({noted} {org}) noted");
        assert_eq!(test.number(&sum).await, number, "{org}");
    }
    let most =
        "select max((payload->>'number')::int)::bigint from events where type = 'webhooks_redelivered'";
    assert!(test.number(most).await <= 500);
}

#[tokio::test]
async fn one_order_has_so_many_sent_and_its_cursor_leads_to_the_rest() {
    let test = Setup::new().role(Role::Api).start().await;
    write_dead(&test, "default", 10_003).await;
    let body = json!({ "since": "2020-01-01T00:00:00Z", "state": "dead" });
    let first = order(&test, &test.key, body.clone()).await;
    assert_eq!(first["redelivered"], 10_000);
    // They die again at once: they are behind the cursor.
    test.sql("update deliveries set state = 'dead'").await;
    let mut next = body.clone();
    next["cursor"] = first["nextCursor"].clone();
    assert_eq!(order(&test, &test.key, next.clone()).await, json!({ "redelivered": 3, "nextCursor": null }));
    next["since"] = json!("2021-01-01T00:00:00Z");
    let other = test.request(Method::POST, "/webhook-deliveries/redeliver").json(&next);
    assert_eq!(pointers(&refused(other, 422, "invalid_request").await), ["/cursor"]);
    for (wrong, pointer) in [
        (json!({ "state": "dead" }), ""),
        (json!({ "since": "2020-01-01T00:00:00Z" }), ""),
        (json!({ "since": "2020-01-01T00:00:00Z", "state": "pending" }), "/state"),
        (json!({ "since": "yesterday", "state": "dead" }), "/since"),
        (json!({ "since": "2020-01-01T00:00:00Z", "state": "dead", "org": "eu" }), ""),
    ] {
        let request = test.request(Method::POST, "/webhook-deliveries/redeliver").json(&wrong);
        let problem = refused(request, 422, "invalid_request").await;
        assert!(pointers(&problem)[0].starts_with(pointer), "{wrong}: {problem}");
    }
    let none = test.request(Method::POST, "/webhook-deliveries/redeliver");
    refused(none, 422, "invalid_request").await;
}

#[tokio::test]
async fn a_log_of_attempts_can_not_be_changed_and_goes_with_its_delivery_alone() {
    let test = impatient("1h").start().await;
    let hook = one(&test, &[Answer::Status(500)]).await;
    test.wait_until("it is recorded", async || delivery(&test, &hook.id).await.attempt == 1).await;
    let mut connection = test.database.connect().await;
    for statement in [
        "update delivery_attempts set status = 200",
        "delete from delivery_attempts",
        "truncate delivery_attempts",
    ] {
        let refused = sqlx::query(statement).execute(&mut connection).await.unwrap_err();
        assert!(refused.to_string().contains("never changed or removed"), "{statement}: {refused}");
    }
    test.sql("delete from purge_deliveries; delete from deliveries").await;
    assert_eq!(test.number("select count(*) from delivery_attempts").await, 0);
}
