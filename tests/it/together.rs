//! Small purges that come at the same time share a statement: none suffers for another.

use std::time::Duration;

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use genesys_purge::intake::Spooled;
use genesys_purge::store::Store;
use genesys_purge::store::purges::accept::{Accepted, NewPurge};
use reqwest::StatusCode;
use serde_json::json;
use sqlx::Executor as _;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::{Setup, TestService};

const LONG: Duration = Duration::from_mins(1);

type Told = Result<Accepted, String>;

/// A small purge of one id, asked for by this key.
fn ask(store: &Store, org: &str, key_id: Uuid, number: u128) -> JoinHandle<Told> {
    let new = NewPurge {
        org: org.to_owned(),
        reason: None,
        reference: Some(format!("R-{number}")),
        labels: json!({ "number": number.to_string() }),
        is_dry_run: false,
        webhook: None,
        key_id,
        requested_by: "tester".to_owned(),
        request_id: "request".to_owned(),
        traceparent: None,
    };
    let store = store.clone();
    tokio::spawn(async move {
        let spooled = Spooled::from_list(vec![Uuid::from_u128(number), Uuid::from_u128(number + 1000)]);
        store.accept_purge(&new, &spooled, None, LONG).await.map_err(|error| error.to_string())
    })
}

async fn key_of(test: &TestService, name: &str) -> Uuid {
    test.make_key_of(name, &[Scope::PurgesWrite], None).await;
    let mut connection = test.database.connect().await;
    sqlx::query_scalar("select id from api_keys where name = $1")
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_comes_while_others_are_written_is_written_at_once_and_the_bad_alone_is_refused() {
    let test = Setup::new().role(Role::Api).start().await;
    let (good, revoked) = (key_of(&test, "good").await, key_of(&test, "revoked").await);
    let mut lock = test.lock("purges in exclusive").await;
    let store = test.store().await;
    let mut asked = vec![ask(&store, "default", good, 0)];
    test.until_waiting(1).await;
    test.sql("update api_keys set revoked_at = now() where name = 'revoked'").await;
    asked.extend((1..12).map(|number| ask(&store, "default", good, number)));
    let late = ask(&store, "default", revoked, 20);
    lock.execute("rollback").await.unwrap();
    for asked in asked {
        let told = asked.await.unwrap();
        assert!(matches!(told, Ok(Accepted::New(_))), "{told:?}");
    }
    let told = late.await.unwrap();
    assert!(matches!(told, Ok(Accepted::Revoked)), "{told:?}");
    assert_eq!(test.number("select count(*) from purges").await, 12);
    let statements = test.number("select count(distinct xmin::text) from purges").await;
    assert!(statements <= 5, "{statements} statements for twelve purges");
    let rows = [
        ("slices", "select count(*) from slices where cardinality(ids) = 2 and pending = 2"),
        ("entries", "select count(*) / 2 from conversations"),
        ("labels", "select count(*) / 2 from purge_tags"),
        ("events", "select count(*) from events where type = 'purge_accepted' and event_no = 1"),
    ];
    for (what, sql) in rows {
        assert_eq!(test.number(sql).await, 12, "{what}");
    }
    store.close().await;
    test.end().await;
}

#[tokio::test]
async fn one_that_the_database_refuses_is_refused_alone() {
    let test = Setup::new().role(Role::Api).start().await;
    let good = key_of(&test, "good").await;
    let mut lock = test.lock("purges in exclusive").await;
    let store = test.store().await;
    // All but the first two share a statement with the one of an org that is not there.
    let mut asked: Vec<_> = (0..6).map(|number| ask(&store, "default", good, number)).collect();
    let bad = ask(&store, "nowhere", good, 20);
    asked.extend((7..9).map(|number| ask(&store, "default", good, number)));
    lock.execute("rollback").await.unwrap();
    for asked in asked {
        let told = asked.await.unwrap();
        assert!(matches!(told, Ok(Accepted::New(_))), "{told:?}");
    }
    let told = bad.await.unwrap().unwrap_err();
    assert!(told.contains("purges_org_fkey"), "{told}");
    assert_eq!(test.number("select count(*) from purges").await, 8);
    let (status, purge) = test.post("/purges", &json!({ "conversationIds": [Uuid::from_u128(99)] })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{purge}");
    store.close().await;
    test.end().await;
}
