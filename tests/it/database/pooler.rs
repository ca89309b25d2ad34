//! A pooler between the service and its database: one in transaction mode, which the service is told of, and whatever passes no
//! notifications on.

use std::time::Duration;

use genesys_purge::app::{Role, Service, StartError, World};
use genesys_purge::sandbox::{Call, Kind};
use genesys_purge::store::{Place, Store, StoreError};
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::books::{all_final, assert_books};
use crate::support::pooler::Pooler;
use crate::support::postgres::{TestDatabase, new_id};
use crate::support::process::Serving;
use crate::support::proxy::Proxy;
use crate::support::trouble::endings;
use crate::support::{Setup, TestService};

async fn start(test: &TestService, place: &Place, role: Role) -> Result<Service, StartError> {
    Service::start(&test.settings, &World::machine(), place, role).await
}

/// From the answer of each of so many purges to the first question about it.
async fn pick_ups(test: &TestService, number: usize) -> Vec<f64> {
    let (mut waits, ids) = (Vec::new(), test.ids_of(Kind::Eligible));
    for id in &ids[50..50 + number] {
        let (status, body) = test.post("/purges", &json!({ "conversationIds": [id] })).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        let accepted: Timestamp = World::machine().clock()();
        let before = test.log(Call::Details).len();
        test.wait_until("it is picked up", async || test.log(Call::Details).len() > before).await;
        waits.push(test.log(Call::Details)[before].at.duration_since(accepted).as_secs_f64());
        all_final(test).await;
    }
    waits
}

#[tokio::test]
async fn behind_a_pooler_in_transaction_mode_everything_is_as_without_and_found_within_a_second() {
    // Its role has settings under which nothing would be right, and there are fewer sessions than connections.
    let database = TestDatabase::of_its_own_role().await;
    let role = database.role();
    for setting in
        ["synchronous_commit = off", "search_path = evil, public", "TimeZone = 'Pacific/Kiritimati'"]
    {
        database.sql(&format!("alter role {role} set {setting}")).await;
    }
    database
        .sql(&format!(
            "create schema evil authorization {role}; create table evil.purges (like public.purges)"
        ))
        .await;
    let pooler = Pooler::to(&database, 3, "").await;
    let mut test = Setup::new().database(database).role(Role::Api).start().await;
    test.stop_service().await;
    let api = start(&test, &pooler.place(), Role::Api).await.unwrap();
    let workers = [
        start(&test, &pooler.place(), Role::Worker).await.unwrap(),
        start(&test, &pooler.place(), Role::Worker).await.unwrap(),
    ];
    test.url = format!("http://{}", api.address());
    let ids = test.ids_of(Kind::Eligible);
    let (status, hold) = test.post("/holds", &json!({ "matter": "m", "conversationIds": ids[..1] })).await;
    assert_eq!(status, StatusCode::CREATED, "{hold}");
    let purges: Vec<_> = futures_util::future::join_all(ids[..40].chunks(4).map(|ids| test.purge(ids))).await;
    let lines: Vec<String> = ids[40..50].iter().map(ToString::to_string).collect();
    let upload = test.upload("text/csv", "?org=default", lines.join("\n")).send().await.unwrap();
    assert_eq!(upload.status(), StatusCode::ACCEPTED);
    all_final(&test).await;
    assert_eq!(test.endings(purges[0]).await, endings([("on_hold legal_hold", 1), ("purged gone", 3)]));
    test.assert_untouched(&ids[..1]);
    test.assert_purged_once(&ids[1..50]);

    let waits = pick_ups(&test, 8).await;
    println!("from the answer to the first call, behind a pooler: {waits:.3?} s");
    assert!(waits.iter().all(|wait| *wait < 1.0), "{waits:?}");
    assert_eq!(test.number("select count(*) from evil.purges").await, 0);
    let store = Store::connect(&pooler.place(), 4, new_id(), true).await.unwrap();
    let check = store.check_session().await.unwrap();
    assert_eq!((check.unsafe_settings, check.odd_settings), (vec![], vec![]));
    assert!(matches!(store.migrate().await, Err(StoreError::NeedsSession)));
    store.close().await;
    assert_books(&test).await;
    for service in workers.into_iter().chain([api]) {
        service.stop().await;
    }
}

#[tokio::test]
async fn a_pooler_that_nobody_speaks_of_is_found_out_and_nothing_starts() {
    let database = TestDatabase::create().await;
    let test = Setup::new().database(database.clone()).role(Role::Api).start().await;
    for more in ["", "ignore_startup_parameters = extra_float_digits, options"] {
        let pooler = Pooler::to(&database, 3, more).await;
        let place = Place::Url(pooler.url().to_owned().into());
        let refused = start(&test, &place, Role::Worker).await.unwrap_err();
        assert!(matches!(refused, StartError::Store(StoreError::Pooler { .. })), "{refused}");
        assert!(refused.to_string().contains("set database.pooler to \"transaction\""), "{refused}");
    }
    test.end().await;
}

#[tokio::test]
async fn where_notifications_are_swallowed_the_start_says_so_and_work_is_found_within_a_second() {
    let test = Setup::new().role(Role::Api).start().await;
    let proxy = Proxy::deaf(&test.database).await;
    let mut command = test.serve(&["--role", "worker"]);
    command.env("DATABASE_URL", proxy.url());
    let worker = Serving::start(command).await;
    let told = worker
        .logged(|line| line["message"].as_str().is_some_and(|text| text.contains("do not come through")))
        .await;
    assert_eq!(told["level"], "WARN", "{told}");
    // Once it has logged in.
    let first = test.purge(&test.ids_of(Kind::Eligible)[..1]).await;
    test.finished(first).await;
    let waits = pick_ups(&test, 5).await;
    assert!(waits.iter().all(|wait| *wait < 1.0), "{waits:?}");
    let ready = worker.request("", Method::GET, "/health/ready").send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
    tokio::time::timeout(Duration::from_secs(30), worker.end(nix::sys::signal::Signal::SIGTERM))
        .await
        .unwrap();
}
