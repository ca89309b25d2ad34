//! Transactions that the server rolls back because of others are retried; only the metrics show it.

use genesys_purge::app::Role;
use genesys_purge::sandbox::Kind;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::Executor as _;

use crate::support::Setup;
use crate::support::books::{all_final, assert_books};

/// Of the statements that write a table, each tenth fails as if another had been in its way, the first one too.
const COLLIDE: &str = "
    create sequence statements;
    create function collide() returns trigger language plpgsql as $$
        begin
            if nextval('statements') % 10 = 1 then
                raise exception 'another is in its way' using errcode = tg_argv[0];
            end if;
            return null;
        end $$";

const RETRIES: &str = "genesys_purge_transaction_retries_total";

#[tokio::test]
async fn what_lost_to_another_is_done_again_whatever_table_it_was_about() {
    let test = Setup::new().start().await;
    test.sql(COLLIDE).await;
    let ids = test.ids_of(Kind::Eligible);
    let tables = ["purges", "slices", "jobs", "decisions", "events", "holds", "limiters", "deliveries"];
    for (number, table) in tables.into_iter().enumerate() {
        let code = ["40001", "40P01"][number % 2];
        let before = test.counted(RETRIES, "").await;
        test.sql(&format!(
            "alter sequence statements restart;
             create trigger collide before insert or update on {table} for each statement execute function collide('{code}')"
        ))
        .await;
        let ids = &ids[number * 6..][..6];
        let (status, hold) =
            test.post("/holds", &json!({ "matter": "m", "conversationIds": ids[..1] })).await;
        assert_eq!(status, StatusCode::CREATED, "{table}: {hold}");
        let hold = hold["id"].as_str().unwrap();
        let purge = test.purge(&ids[..5]).await;
        assert_eq!(test.finished(purge).await["counts"]["purged"], 4, "{table}");
        let (status, body) = test.post(&format!("/holds/{hold}/release"), &json!({})).await;
        assert_eq!(status, StatusCode::OK, "{table}: {body}");
        let canceled = test.purge(&ids[5..]).await;
        let (status, body) = test.post(&format!("/purges/{canceled}/cancel"), &json!({})).await;
        assert!([StatusCode::OK, StatusCode::CONFLICT].contains(&status), "{table}: {body}");
        for act in ["stop", "resume"] {
            let (status, body) = test.post(&format!("/orgs/default/{act}"), &json!({})).await;
            assert_eq!(status, StatusCode::OK, "{table}: {body}");
        }
        all_final(&test).await;
        test.wait_until("all is told", async || {
            test.number("select count(*) from deliveries where state = 'pending'").await == 0
        })
        .await;
        test.sql(&format!("drop trigger collide on {table}")).await;
        assert!(test.counted(RETRIES, "").await > before, "{table}");
    }
    let steps = "genesys_purge_step_duration_seconds_count";
    assert_eq!(test.counted(steps, "result=\"failed\"").await, 0, "no step had to wait for its lease");
    assert_books(&test).await;
    test.assert_no_breach();
    test.end().await;
}

#[tokio::test]
async fn a_real_deadlock_ends_well() {
    let mut test = Setup::new().role(Role::Api).start().await;
    test.stop_service().await;
    let name = test.database.name().to_owned();
    // Whoever waits looks once, after this time, whether it is for ever. So the rival is not the first to look.
    test.sql(&format!("alter database {name} set deadlock_timeout = '4s'")).await;
    test.start_service().await;
    let mut rival = test.database.connect().await;
    rival
        .execute("set deadlock_timeout = '1h'; begin; select from limiters where org = 'default' for update")
        .await
        .unwrap();
    // It has the lock of the org, and waits for that of the limiter.
    let stopping = tokio::spawn(test.request(Method::POST, "/orgs/default/stop").json(&json!({})).send());
    test.until_waiting(1).await;
    rival.execute("select from orgs where name = 'default' for update").await.unwrap();
    rival.execute("commit").await.unwrap();
    let stopped = stopping.await.unwrap().unwrap();
    assert_eq!(stopped.status(), StatusCode::OK, "{:?}", stopped.text().await);
    assert_eq!(test.counted(RETRIES, "cause=\"deadlock\"").await, 1);
    test.end().await;
}
