//! A database that accepts no writes for a while, as after a failover to a standby: reported as an outage, which ends
//! by itself.

use genesys_purge::app::Role;
use genesys_purge::sandbox::Kind;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::problem::refused;
use crate::support::{Setup, TestService};

/// From now on sessions begin so; those that there are end.
async fn set_read_only(test: &TestService, is_read_only: bool) {
    let name = test.database.name();
    test.sql(&format!("alter database {name} set default_transaction_read_only = {is_read_only}")).await;
    test.sql(&format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}' and pid <> pg_backend_pid()"
    ))
    .await;
}

#[tokio::test]
async fn writes_are_told_to_come_again_and_the_service_is_not_ready_until_it_takes_them() {
    let test = Setup::new().start().await;
    let ids = test.ids_of(Kind::Eligible);
    let purge = test.purge(&ids[..3]).await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    set_read_only(&test, true).await;
    let body = json!({ "conversationIds": ids[3..6] });
    let acts = [
        test.request(Method::POST, "/purges").json(&body),
        test.request(Method::POST, "/holds").json(&json!({ "matter": "m", "conversationIds": ids[..1] })),
        test.request(Method::POST, "/orgs/default/stop").json(&json!({ "reason": "r" })),
    ];
    for act in acts {
        refused(act, 503, "unavailable").await;
    }
    let problem = refused(test.request(Method::GET, "/health/ready"), 503, "not_ready").await;
    assert!(problem["detail"].as_str().unwrap().contains("read-only"), "{problem}");
    assert_eq!(test.get(&format!("/purges/{purge}")).await["state"], "completed", "it can be read");

    let name = test.database.name();
    // Nobody ends the sessions that began so: they are given up by themselves.
    test.sql(&format!("alter database {name} reset default_transaction_read_only")).await;
    test.wait_until("it takes writes again", async || {
        let ready = test.request(Method::GET, "/health/ready").send().await.unwrap();
        ready.status() == StatusCode::OK
    })
    .await;
    let (status, accepted) = test.post("/purges", &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    let purge = accepted["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(test.finished(purge).await["state"], "completed");
    test.assert_purged_once(&ids[..6]);
    test.end().await;
}

#[tokio::test]
async fn without_a_look_at_its_readiness_writes_go_on_too() {
    let test = Setup::new().role(Role::Api).start().await;
    let body = json!({ "conversationIds": test.ids_of(Kind::Eligible)[..1] });
    set_read_only(&test, true).await;
    test.wait_until("there are new sessions", async || {
        let read = test.request(Method::GET, "/purges").send().await.unwrap();
        read.status() == StatusCode::OK
    })
    .await;
    refused(test.request(Method::POST, "/purges").json(&body), 503, "unavailable").await;
    let name = test.database.name();
    test.sql(&format!("alter database {name} reset default_transaction_read_only")).await;
    let (status, accepted) = test.post("/purges", &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "the refusal had the sessions replaced: {accepted}");
    test.end().await;
}
