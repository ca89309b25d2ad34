//! A version whose schema a newer one has migrated works on, until a migration says that it may not.

use genesys_purge::app::{Role, Service, StartError, World};
use genesys_purge::sandbox::{Call, Kind};
use genesys_purge::store::StoreError;
use reqwest::{Method, StatusCode};

use crate::support::problem::refused;
use crate::support::{Setup, TestService};

/// A newer version has been there.
const LATER: &str = "insert into _sqlx_migrations select 9999, 'later', now(), true, '', 0";

async fn start(test: &TestService) -> Result<Service, StartError> {
    Service::start(&test.settings, &World::machine(), &test.database.place(), Role::Worker).await
}

#[tokio::test]
async fn it_works_on_beside_the_newer_one_and_may_be_started_again() {
    let test = Setup::new().start().await;
    test.sql(LATER).await;
    let ids = test.ids_of(Kind::Eligible);
    let ready = test.request(Method::GET, "/health/ready").send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
    let purge = test.purge(&ids[..3]).await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    start(&test).await.unwrap().stop().await;
    test.end().await;
}

#[tokio::test]
async fn it_begins_nothing_more_once_the_schema_has_outgrown_it() {
    let test = Setup::new().start().await;
    let ids = test.ids_of(Kind::Eligible);
    test.sql(LATER).await;
    test.sql("update schema_floor set oldest = 9999").await;
    let problem = refused(test.request(Method::GET, "/health/ready"), 503, "not_ready").await;
    assert!(problem["detail"].as_str().unwrap().contains("run the newer version"), "{problem}");
    let refused = start(&test).await.unwrap_err();
    assert!(matches!(refused, StartError::Store(StoreError::Outgrown { oldest: 9999, .. })), "{refused}");
    let purge = test.purge(&ids[..3]).await;
    let steps = "genesys_purge_step_duration_seconds_count";
    test.wait_until("it tried", async || test.counted(steps, "step=\"intend\"").await > 1).await;
    assert_eq!(test.get(&format!("/purges/{purge}")).await["counts"]["eligible"], 3);
    assert_eq!(test.log(Call::Submit).len(), 0);
    test.sql("update schema_floor set oldest = 16").await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    test.end().await;
}
