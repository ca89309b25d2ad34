//! Requests that wait for the database: they have a timeout, and a client that goes away leaves nothing behind.

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::Executor as _;
use uuid::Uuid;

use super::{Wire, desk};
use crate::support::Setup;
use crate::support::problem::refused;

const BUSY: &str = "select count(*) from pg_stat_activity where datname = current_database()
                    and pid <> pg_backend_pid() and state <> 'idle'";

/// Nothing is accepted while this is held; reading goes on.
const NOTHING_ACCEPTED: &str = "purges in exclusive";

fn purge(number: u128) -> Value {
    json!({ "conversationIds": [Uuid::from_u128(number)] })
}

#[tokio::test]
async fn who_waits_for_a_turn_to_be_accepted_is_told_to_come_again() {
    let test = Setup::new().role(Role::Api).env("PURGE__SERVER__REQUEST_TIMEOUT", "1s").start().await;
    let mut lock = test.lock(NOTHING_ACCEPTED).await;
    let mut posts = Vec::new();
    // Two statements at once; who comes then waits for the next.
    for number in 0..2 {
        posts.push(tokio::spawn(test.request(Method::POST, "/purges").json(&purge(number)).send()));
        test.until_waiting(i64::try_from(number).unwrap() + 1).await;
    }
    for number in 7..10 {
        refused(test.request(Method::POST, "/purges").json(&purge(number)), 503, "unavailable").await;
    }
    lock.execute("rollback").await.unwrap();
    for post in posts {
        assert_eq!(post.await.unwrap().unwrap().status(), StatusCode::ACCEPTED, "it had its turn");
    }
    assert_eq!(test.number("select count(*) from purges").await, 2);
}

#[tokio::test]
async fn who_waits_with_a_key_of_a_repeat_is_told_to_come_again_too() {
    let test = Setup::new().role(Role::Api).env("PURGE__SERVER__REQUEST_TIMEOUT", "1s").start().await;
    let mut lock = test.lock(NOTHING_ACCEPTED).await;
    let post = |number: u128| {
        let request = test.request(Method::POST, "/purges").header("Idempotency-Key", number.to_string());
        request.json(&purge(number))
    };
    // With ten connections requests have half of them; one is for what protects, one for other calls, one for large purges.
    let posts: Vec<_> = (0..2).map(|number| tokio::spawn(post(number).send())).collect();
    test.until_waiting(2).await;
    refused(post(7), 503, "unavailable").await;
    lock.execute("rollback").await.unwrap();
    for post in posts {
        assert_eq!(post.await.unwrap().unwrap().status(), StatusCode::ACCEPTED, "it had its turn");
    }
    assert_eq!(test.number("select count(*) from purges").await, 2);
}

#[tokio::test]
async fn a_lock_that_somebody_keeps_in_the_database_is_not_waited_for_without_end() {
    let test = desk().await;
    let lock = test.lock(NOTHING_ACCEPTED).await;
    refused(test.request(Method::POST, "/purges").json(&purge(1)), 503, "unavailable").await;
    drop(lock);
    assert_eq!(test.number("select count(*) from purges").await, 0);
    assert_eq!(test.post("/purges", &purge(1)).await.0, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_client_that_goes_away_while_its_purge_waits_leaves_nothing() {
    for key in [None, Some("Idempotency-Key: again")] {
        let test = desk().await;
        let mut lock = test.lock(NOTHING_ACCEPTED).await;
        let mut posts = Vec::new();
        // With a key of its own a purge is a transaction of its own; without one it waits while others are written.
        for number in if key.is_none() { 0..2 } else { 0..0 } {
            posts.push(tokio::spawn(test.request(Method::POST, "/purges").json(&purge(number)).send()));
            test.until_waiting(i64::try_from(number).unwrap() + 1).await;
        }
        let body = purge(7).to_string();
        let mut wire = Wire::open(&test).await;
        let length = format!("Content-Length: {}", body.len());
        let lines: Vec<&str> = ["Content-Type: application/json", &length].into_iter().chain(key).collect();
        wire.send_head(&test, "POST /purges", &lines).await;
        wire.send(&body).await;
        if key.is_some() {
            test.until_waiting(1).await;
        }
        let port = wire.port();
        test.wait_until("the service has it", async || super::is_held(&test, Some(port))).await;
        drop(wire);
        test.wait_until("the service lets go", async || !super::is_held(&test, Some(port))).await;
        lock.execute("rollback").await.unwrap();
        let others = posts.len();
        for post in posts {
            assert_eq!(post.await.unwrap().unwrap().status(), StatusCode::ACCEPTED);
        }
        test.wait_until("the transactions end", async || test.number(BUSY).await == 0).await;
        let accepted = usize::try_from(test.number("select count(*) from purges").await).unwrap();
        assert_eq!(accepted, others, "{key:?}");
        assert_eq!(test.post("/purges", &purge(1)).await.0, StatusCode::ACCEPTED);
    }
}

#[tokio::test]
async fn what_protects_finds_a_connection_however_many_others_wait_for_one() {
    let test = desk().await;
    test.purge(&test.ids_of(Kind::Eligible)[..1]).await;
    let mut lock = test.lock("conversations in access exclusive").await;
    let path = format!("/conversations/{}", test.ids_of(Kind::Eligible)[0]);
    let readers: Vec<_> = (0..20).map(|_| tokio::spawn(test.request(Method::GET, &path).send())).collect();
    // With ten connections requests have half of them, and all but one may be taken by whatever is asked.
    test.until_waiting(4).await;
    let (status, stopped) = test.post("/orgs/default/stop", &json!({})).await;
    assert_eq!(status, StatusCode::OK, "{stopped}");
    let ready = test.client.get(format!("{}/health/ready", test.url)).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
    assert_eq!(test.number("select count(*) from orgs where stopped_at is not null").await, 1);
    lock.execute("rollback").await.unwrap();
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_key_has_a_quarter_of_the_waits_and_each_purge_is_read_once_for_all() {
    const READS: &str = "select coalesce(sum(seq_scan + idx_scan), 0)::bigint from pg_stat_user_tables where relname = 'login_troubles'";
    let test = Setup::new().role(Role::Api).connections(|terms| terms.waits = 80).start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..1]).await;
    let key = test.make_key(&[Scope::PurgesRead], None).await;
    let path = format!("/purges/{purge}?wait=4");
    let wait = |key: &str| tokio::spawn(test.request_as(key, Method::GET, &path).send());
    let waiting: Vec<_> = (0..30).map(|_| wait(&key)).collect();
    let other = wait(&test.key);
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for waiting in waiting {
        *statuses.entry(waiting.await.unwrap().unwrap().status().as_u16()).or_default() += 1;
    }
    assert_eq!(statuses, [(200, 20), (503, 10)].into());
    assert_eq!(other.await.unwrap().unwrap().status(), StatusCode::OK, "another key has places of its own");
    // Each of 31 reads it when it comes, and each of 21 when its wait is over: the looks in between are for all.
    let looks = async || test.number(READS).await;
    test.wait_until("the statistics are told", async || looks().await >= 52).await;
    assert!(looks().await < 52 + 20, "{} looks", looks().await);
}
