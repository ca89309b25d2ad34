//! Requests that wait for the database: they wait for an end, and who goes away meanwhile leaves nothing.

use genesys_purge::app::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::Executor as _;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::{Wire, desk};
use crate::support::problem::refused;
use crate::support::{Setup, TestService};

/// Nothing is accepted while this is held; reading goes on.
async fn lock(test: &TestService) -> PgConnection {
    let mut lock = test.database.connect().await;
    lock.execute("begin; lock table purges in exclusive mode").await.unwrap();
    lock
}

fn purge(number: u128) -> Value {
    json!({ "conversationIds": [Uuid::from_u128(number)] })
}

async fn until_waiting(test: &TestService, expected: i64) {
    const WAITING: &str = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    test.wait_until("the lock is waited for", async || test.number(WAITING).await == expected).await;
}

#[tokio::test]
async fn who_waits_for_a_turn_to_be_accepted_is_told_to_come_again() {
    let test = Setup::new().role(Role::Api).env("PURGE__SERVER__REQUEST_TIMEOUT", "1s").start().await;
    let mut lock = lock(&test).await;
    // Four are accepted at once, with ten connections: requests have half of them, and one is left for other calls.
    let posts: Vec<_> = (0..4)
        .map(|number| tokio::spawn(test.request(Method::POST, "/purges").json(&purge(number)).send()))
        .collect();
    until_waiting(&test, 4).await;
    refused(test.request(Method::POST, "/purges").json(&purge(7)), 503, "unavailable").await;
    lock.execute("rollback").await.unwrap();
    for post in posts {
        assert_eq!(post.await.unwrap().unwrap().status(), StatusCode::ACCEPTED, "it had its turn");
    }
    assert_eq!(test.number("select count(*) from purges").await, 4);
}

#[tokio::test]
async fn a_lock_that_somebody_keeps_in_the_database_is_not_waited_for_without_end() {
    let test = desk().await;
    let lock = lock(&test).await;
    refused(test.request(Method::POST, "/purges").json(&purge(1)), 503, "unavailable").await;
    drop(lock);
    assert_eq!(test.number("select count(*) from purges").await, 0);
    assert_eq!(test.post("/purges", &purge(1)).await.0, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_client_that_goes_away_while_its_purge_waits_leaves_nothing() {
    const BUSY: &str = "select count(*) from pg_stat_activity where datname = current_database()
                        and pid <> pg_backend_pid() and state <> 'idle'";
    let test = desk().await;
    let mut lock = lock(&test).await;
    let body = purge(1).to_string();
    let mut wire = Wire::open(&test).await;
    let length = format!("Content-Length: {}", body.len());
    wire.send_head(&test, "POST /purges", &["Content-Type: application/json", &length]).await;
    wire.send(&body).await;
    until_waiting(&test, 1).await;
    let port = wire.port();
    drop(wire);
    test.wait_until("the service lets go", async || !super::is_held(&test, Some(port))).await;
    lock.execute("rollback").await.unwrap();
    test.wait_until("the transaction ends", async || test.number(BUSY).await == 0).await;
    assert_eq!(test.number("select count(*) from purges").await, 0);
    assert_eq!(test.post("/purges", &purge(1)).await.0, StatusCode::ACCEPTED);
}
