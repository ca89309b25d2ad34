//! A database that fails in different ways, under a service that has work: callers are told to retry, nothing is done
//! twice, and the service continues by itself.

use std::time::Duration;

use genesys_purge::app::Role;
use genesys_purge::sandbox::{Call, JobDuration, Kind};
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::support::books::{all_final, assert_books, eventually};
use crate::support::cluster::Machine;
use crate::support::disk::{SmallDisk, may_mount};
use crate::support::postgres::TestDatabase;
use crate::support::problem::refused;
use crate::support::service::read;
use crate::support::{Setup, TestService};

/// An org with many small jobs.
fn busy() -> Setup {
    Setup::new()
        .sandbox(|settings| settings.job_duration = JobDuration { base_ms: 100, jitter_ms: 200 })
        .env("PURGE__ORGS__DEFAULT__MAX_BATCH", "3")
        .env("PURGE__ENGINE__AMBIGUITY_GRACE", "1s")
        .env("PURGE__ENGINE__RESUBMIT_AFTER", "100ms")
}

/// Everything is final and right, in spite of what happened.
async fn assert_unharmed(test: &TestService, ids: &[Uuid]) {
    all_final(test).await;
    test.assert_purged_once(ids);
    assert_books(test).await;
}

#[tokio::test]
async fn sessions_that_are_ended_again_and_again_cost_nothing_but_time() {
    let test = busy().start().await;
    let ids = test.ids_of(Kind::Eligible);
    test.purge(&ids).await;
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()";
    let mut ended = 0;
    while test.number("select count(*) from purges where finished_at is null").await > 0 && ended < 60 {
        ended += test.number(end).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(ended > 5, "{ended}");
    assert_unharmed(&test, &ids).await;
    test.end().await;
}

#[tokio::test]
async fn a_server_that_is_shut_down_immediately_and_comes_back_has_lost_nothing() {
    let machine = Machine::new();
    machine.init("server");
    let server = machine.start("server").await;
    let database = machine.database(&server).await;
    let test = busy().database(database).start().await;
    let ids = test.ids_of(Kind::Eligible);
    test.purge(&ids[..60]).await;
    test.wait_until("it is at work", async || test.log(Call::Submit).len() > 3).await;
    server.kill();
    let body = json!({ "conversationIds": ids[60..] });
    refused(test.request(Method::POST, "/purges").json(&body), 503, "unavailable").await;
    refused(test.request(Method::GET, "/health/ready"), 503, "not_ready").await;
    let server = machine.start("server").await;
    eventually("purges are accepted again", async || {
        test.post("/purges", &body).await.0 == StatusCode::ACCEPTED
    })
    .await;
    assert_unharmed(&test, &ids).await;
    test.end().await;
    server.stop();
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_is_told_and_work_goes_on_with_what_there_is() {
    let database = TestDatabase::of_its_own_role().await;
    let role = database.role().to_owned();
    let setup = busy().deadlines(|deadlines| deadlines.requests.connection = Duration::from_secs(1));
    let test = setup.database(database).start().await;
    let ids = test.ids_of(Kind::Eligible);
    test.sql(&format!("alter role {role} connection limit 1")).await;
    test.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()",
    )
    .await;
    let body = json!({ "conversationIds": ids[..10] });
    // Whoever comes first has the one connection.
    let acts = futures_util::future::join_all((0..4).map(|_| {
        let act =
            test.request(Method::POST, "/holds").json(&json!({ "matter": "m", "conversationIds": ids[..1] }));
        act.send()
    }))
    .await;
    for answer in acts {
        let (status, body) = read(answer.unwrap()).await;
        assert!([StatusCode::CREATED, StatusCode::SERVICE_UNAVAILABLE].contains(&status), "{status}: {body}");
    }
    test.sql(&format!("alter role {role} connection limit -1")).await;
    eventually("purges are accepted again", async || {
        test.post("/purges", &body).await.0 == StatusCode::ACCEPTED
    })
    .await;
    all_final(&test).await;
    test.assert_no_breach();
    test.end().await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_given_up_by_the_server_and_the_connection_used_on() {
    let test = Setup::new()
        .role(Role::Api)
        .deadlines(|deadlines| deadlines.requests.statement = Duration::from_millis(500))
        .start()
        .await;
    let lock = test.lock("purges in access exclusive").await;
    let body = json!({ "conversationIds": test.ids_of(Kind::Eligible)[..1] });
    refused(test.request(Method::POST, "/purges").json(&body), 503, "unavailable").await;
    refused(test.request(Method::GET, "/purges"), 503, "unavailable").await;
    let sessions = "select count(*) from pg_stat_activity
                    where datname = current_database() and application_name = 'genesys-purge' and state <> 'active'";
    test.wait_until("its sessions are free again", async || test.number(sessions).await > 0).await;
    drop(lock);
    let (status, accepted) = test.post("/purges", &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    test.end().await;
}

#[tokio::test]
async fn a_database_whose_disk_is_full_takes_nothing_and_goes_on_when_there_is_room() {
    if !may_mount() {
        // It takes root to make a disk small.
        return;
    }
    let machine = Machine::new();
    machine.init("server");
    let folder = machine.folder("small");
    let disk = SmallDisk::over(folder.to_str().unwrap(), "64m");
    machine.folder("small/space");
    let server = machine.start("server").await;
    let space = folder.join("space");
    server.sql("postgres", &format!("create tablespace small location '{}'", space.display())).await;
    server.sql("postgres", "alter system set default_tablespace = small").await;
    server.sql("postgres", "select pg_reload_conf()").await;
    let database = machine.database(&server).await;
    let test = busy().database(database).start().await;
    let ids = test.ids_of(Kind::Eligible);
    test.purge(&ids[..30]).await;
    test.wait_until("it is at work", async || test.log(Call::Submit).len() > 3).await;
    // All that is left is taken by somebody else.
    let rest = std::fs::File::create(folder.join("rest")).unwrap();
    let full = std::io::copy(&mut std::io::repeat(0), &mut &rest).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
    let mut accepted = 0;
    // Pages that there are still have room.
    loop {
        let body = json!({ "conversationIds": ids[30..60] });
        let (status, body) = test.post("/purges", &body).await;
        if status != StatusCode::ACCEPTED {
            assert_eq!(
                (status, &body["code"]),
                (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")),
                "{body}"
            );
            break;
        }
        accepted += 1;
        assert!(accepted < 2000, "it never was full");
    }
    assert_eq!(
        test.request(Method::GET, "/purges").send().await.unwrap().status(),
        StatusCode::OK,
        "it can be read"
    );
    std::fs::remove_file(folder.join("rest")).unwrap();
    drop(rest);
    eventually("purges are accepted again", async || {
        let body = json!({ "conversationIds": ids[60..] });
        test.post("/purges", &body).await.0 == StatusCode::ACCEPTED
    })
    .await;
    assert_unharmed(&test, &ids[..30]).await;
    test.end().await;
    server.stop();
    drop(disk);
}
