//! Repeats of requests: with one Idempotency-Key, one purge, however often and in whatever shape it is sent.

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::problem::refused;
use crate::support::service::read;
use crate::support::{Setup, TestService};

fn post(test: &TestService, key: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    let request = test.request(Method::POST, "/purges").header("content-type", "application/json");
    request.header("idempotency-key", key).body(body)
}

/// Location, whether it is told to be a repeat, and body of an accepted purge.
async fn accepted(request: RequestBuilder) -> (String, bool, Value) {
    let response = request.send().await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (location, replayed) = (header("location"), header("idempotent-replayed"));
    let (status, body) = read(response).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    (location.unwrap(), replayed.as_deref() == Some("true"), body)
}

/// One id a line.
fn lines(ids: &[Uuid]) -> String {
    ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join("\n")
}

async fn purges(test: &TestService) -> i64 {
    test.number("select count(*) from purges").await
}

#[tokio::test]
async fn a_repeat_makes_no_purge_and_gets_the_first_answer_even_when_the_purge_has_ended() {
    let test = TestService::start().await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let body = json!({ "conversationIds": ids, "reason": "r", "labels": { "a": "1", "b": "2" } });
    let first = accepted(post(&test, "key-1", body.to_string())).await;
    assert!(!first.1);
    test.finished(first.2["id"].as_str().unwrap().parse().unwrap()).await;
    // The same JSON with its keys in another order, and in other white space.
    let [one, two, three] = ids else { unreachable!() };
    let turned = format!(
        r#" {{"labels":{{"b":"2","a":"1"}},
             "reason":"r", "conversationIds":["{one}","{two}" , "{three}"]}}"#
    );
    let again = accepted(post(&test, "key-1", turned)).await;
    assert_eq!((again.0, again.1, again.2), (first.0, true, first.2.clone()));
    assert_eq!((&first.2["state"], &first.2["counts"]["pending"]), (&json!("queued"), &json!(3)));
    assert_eq!(purges(&test).await, 1);
    let another = accepted(post(&test, "key-2", body.to_string())).await;
    assert!(!another.1 && another.2["id"] != first.2["id"], "another key is another purge");
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused_whatever_differs() {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    let ids = [1, 2, 3].map(Uuid::from_u128);
    let body = json!({ "conversationIds": ids, "org": "default", "expectedCount": 3 });
    accepted(post(&test, "key", body.to_string())).await;
    for (field, value) in [
        ("conversationIds", json!(ids[..2])),
        ("conversationIds", json!([ids[1], ids[0], ids[2]])),
        ("org", json!("eu")),
        ("reason", json!("why")),
        ("reference", json!("R-1")),
        ("dryRun", json!(true)),
        ("labels", json!({ "a": "1" })),
        ("expectedCount", json!(null)),
    ] {
        let mut other = body.clone();
        other[field] = value;
        if field == "conversationIds" && other[field].as_array().unwrap().len() == 2 {
            other["expectedCount"] = json!(2);
        }
        refused(post(&test, "key", other.to_string()), 422, "idempotency_key_reused").await;
    }
    let csv = |query: &str, ids: &[Uuid]| {
        test.upload("text/csv", query, lines(ids)).header("idempotency-key", "key")
    };
    refused(csv("?org=default&expectedCount=2", &ids[..2]), 422, "idempotency_key_reused").await;
    refused(csv("?org=default&expectedCount=3&reason=why", &ids), 422, "idempotency_key_reused").await;
    assert!(accepted(csv("?expectedCount=3&org=default", &ids)).await.1, "the same in another format");
    assert_eq!(purges(&test).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_repeats_at_once_make_one_purge_and_all_get_its_answer() {
    let test = Setup::new().role(Role::Api).start().await;
    let ids: Vec<Uuid> = (0..2000).map(Uuid::from_u128).collect();
    let json = json!({ "conversationIds": ids }).to_string();
    let csv = lines(&ids);
    let all = (0..50).map(|number| {
        let request = if number % 2 == 0 {
            post(&test, "one", json.clone())
        } else {
            test.upload("text/csv", "", csv.clone()).header("idempotency-key", "one")
        };
        accepted(request)
    });
    let answers = futures_util::future::join_all(all).await;
    assert_eq!(purges(&test).await, 1);
    assert_eq!(answers.iter().filter(|(_, is_repeat, _)| !is_repeat).count(), 1);
    let (location, _, body) = &answers[0];
    assert!(answers.iter().all(|answer| (&answer.0, &answer.2) == (location, body)), "{answers:#?}");
}

#[tokio::test]
async fn repeats_that_wait_for_their_first_hold_up_nobody_else() {
    let test = Setup::new().role(Role::Api).start().await;
    let body = |id: u128| json!({ "conversationIds": [Uuid::from_u128(id)] }).to_string();
    let caller: Uuid = sqlx::query_scalar("select id from api_keys")
        .fetch_one(&mut test.database.connect().await)
        .await
        .unwrap();
    // Stands for a first that takes its time.
    let mut first = test.database.connect().await;
    let lock = "select pg_advisory_lock(hashtextextended($1 || ' slow', 0))";
    sqlx::query(lock).bind(caller.to_string()).execute(&mut first).await.unwrap();
    let repeats: Vec<_> = (0..20).map(|_| tokio::spawn(accepted(post(&test, "slow", body(1))))).collect();
    for id in 2..20 {
        assert!(!accepted(post(&test, &format!("other-{id}"), body(id))).await.1);
    }
    assert!(repeats.iter().all(|repeat| !repeat.is_finished()));
    drop(first);
    for repeat in repeats {
        repeat.await.unwrap();
    }
    assert_eq!(purges(&test).await, 19);
}

#[tokio::test]
async fn a_key_belongs_to_its_caller_and_what_was_refused_has_not_used_it() {
    let test = Setup::new().role(Role::Api).start().await;
    let other = test.make_key(Scope::ALL, None).await;
    let body = |ids: &[Uuid]| json!({ "conversationIds": ids }).to_string();
    let (one, two) = ([Uuid::from_u128(1)], [Uuid::from_u128(2)]);
    refused(post(&test, "key", r#"{"conversationIds": []}"#), 422, "invalid_request").await;
    let first = accepted(post(&test, "key", body(&one))).await;
    let by_other = test
        .request_as(&other, Method::POST, "/purges")
        .header("content-type", "application/json")
        .header("idempotency-key", "key")
        .body(body(&two));
    let second = accepted(by_other).await;
    assert!(!first.1 && !second.1 && first.2["id"] != second.2["id"]);
    for bad in ["", "two words", &"k".repeat(256)] {
        refused(post(&test, bad, body(&one)), 400, "invalid_idempotency_key").await;
    }
    let twice = post(&test, "key", body(&one)).header("idempotency-key", "key");
    refused(twice, 400, "invalid_idempotency_key").await;
    assert_eq!(purges(&test).await, 2);
}

#[tokio::test]
async fn a_key_is_kept_for_seven_days_over_restarts_and_then_free() {
    let mut test = TestService::start().await;
    let body = json!({ "conversationIds": test.ids_of(Kind::Eligible)[..2] }).to_string();
    let first = accepted(post(&test, "key", body.clone())).await;
    test.stop_service().await;
    test.start_service().await;
    let age = async |days: &str| {
        test.sql(&format!("update idempotency_keys set created_at = created_at - interval '{days}'")).await;
    };
    age("6 days 23 hours").await;
    assert_eq!(accepted(post(&test, "key", body.clone())).await.2["id"], first.2["id"]);
    let store = test.store().await;
    assert_eq!(store.forget_repeats().await.unwrap(), 0);
    age("2 hours").await;
    let later = accepted(post(&test, "key", body.clone())).await;
    assert!(!later.1 && later.2["id"] != first.2["id"], "{later:?}");
    assert_eq!(accepted(post(&test, "key", body)).await.2["id"], later.2["id"], "it stands for the new one");
    age("7 days 1 hour").await;
    assert_eq!(store.forget_repeats().await.unwrap(), 1);
    store.close().await;
}

/// What a crash between accept and answer leaves: the purge is there, and its caller knows nothing of it.
#[tokio::test]
async fn a_repeat_finds_the_purge_whose_answer_was_lost() {
    let test = Setup::new().role(Role::Api).start().await;
    let body = json!({ "conversationIds": [Uuid::from_u128(1)] }).to_string();
    // The caller goes away as soon as the purge is there; the accept is slow enough for that.
    test.sql(
        "create function slowly() returns trigger language plpgsql as
         $$ begin perform pg_sleep(0.5); return new; end $$",
    )
    .await;
    test.sql("create trigger slowly before insert on slices for each row execute function slowly()").await;
    let lost = post(&test, "key", body.clone()).timeout(std::time::Duration::from_millis(250));
    assert!(lost.send().await.unwrap_err().is_timeout());
    let repeat = accepted(post(&test, "key", body)).await;
    assert_eq!(purges(&test).await, 1, "whatever became of the first");
    assert_eq!(test.get(&repeat.0).await["id"], repeat.2["id"]);
}
