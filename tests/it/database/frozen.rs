//! A process that froze within a transaction: what it holds is free again within seconds.

use std::time::Duration;

use genesys_purge::app::{Role, Service, World};
use genesys_purge::sandbox::Kind;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::Executor as _;

use crate::support::Setup;
use crate::support::proxy::Way;
use crate::support::service::read;

#[tokio::test]
async fn a_hold_is_answered_though_a_frozen_process_has_the_lock_of_its_org() {
    let quickly = Duration::from_millis(300);
    let test = Setup::new()
        .role(Role::Api)
        .behind_proxy()
        .deadlines(|deadlines| deadlines.frozen = quickly)
        .start()
        .await;
    let other =
        Service::start(&test.settings, &World::machine(), &test.database.place(), Role::Api).await.unwrap();
    // It stops an org: it has the lock of the org, and waits for that of the limiter.
    let mut rival = test.database.connect().await;
    rival.execute("begin; select from limiters where org = 'default' for update").await.unwrap();
    let stop = test.request(Method::POST, "/orgs/default/stop").json(&json!({}));
    let stopping = tokio::spawn(stop.send());
    // Within its transaction.
    test.until_waiting(1).await;
    // It gets the lock, and is heard of no more.
    test.proxy().set(Way::Silent);
    rival.execute("commit").await.unwrap();
    let body = json!({ "matter": "m", "conversationIds": test.ids_of(Kind::Eligible)[..1] });
    let hold =
        test.client.post(format!("http://{}/holds", other.address())).bearer_auth(&test.key).json(&body);
    let (status, hold) = read(hold.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::CREATED, "{hold}");
    let stopped = "select count(*) from orgs where stopped_at is not null";
    assert_eq!(test.number(stopped).await, 0, "what was not committed is undone");
    test.proxy().set(Way::Cut);
    stopping.abort();
    other.stop().await;
    test.end().await;
}
