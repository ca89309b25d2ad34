//! What waits, by kind and by age: queues, jobs, deliveries, connections.

use genesys_purge::app::Role;
use genesys_purge::sandbox::Kind;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::Executor as _;

use super::scrape;
use crate::support::{Setup, TestService};

/// So many jobs in this state, with everything that a job in any unfinished state needs.
pub(super) async fn put_jobs(test: &TestService, state: &str, number: u32) {
    test.sql(&format!(
        "insert into jobs (id, org, state, ids, size, upstream_job_id, submitted_at, call_before, lease_until,
                           lost_since, ended_at)
         select id, 'default', '{state}', '{{}}', 0, id::text, now(), now(), now() - interval '1 minute', now(), now()
         from (select gen_random_uuid() as id from generate_series(1, {number})) as ids"
    ))
    .await;
}

async fn put_deliveries(test: &TestService, state: &str, number: u32, age: &str) {
    test.sql(&format!(
        "insert into deliveries (id, event_id, endpoint, payload, state, created_at)
         select gen_random_uuid(), (select id from events limit 1), 'retention', '{{}}', '{state}',
                now() - interval '{age}'
         from generate_series(1, {number})"
    ))
    .await;
}

#[tokio::test]
async fn each_queue_is_told_by_kind_and_by_age() {
    let test = Setup::new().role(Role::Api).start().await;
    let ids = test.ids_of(Kind::Eligible);
    for ids in [&ids[..30], &ids[30..40]] {
        test.purge_with(json!({ "conversationIds": ids })).await;
    }
    test.sql(
        "update purges
         set state = 'running', started_at = now(), pending = 5, eligible = 8, submitted = 17,
             created_at = now() - interval '2 hours'
         where total = 30",
    )
    .await;
    let jobs = [("waiting", 1), ("submitting", 2), ("in_doubt", 3), ("submitted", 4), ("verifying", 5)];
    for (state, number) in jobs {
        put_jobs(&test, state, number).await;
    }
    put_deliveries(&test, "pending", 6, "10 minutes").await;
    put_deliveries(&test, "pending", 1, "1 hour").await;
    put_deliveries(&test, "dead", 2, "9 hours").await;

    let page = scrape(&test).await;
    for (state, number) in jobs {
        let labels = [("org", "default"), ("state", state)];
        assert_eq!(page.count("genesys_purge_jobs_open", &labels), u64::from(number), "{state}");
    }
    for (outcome, number) in [("pending", 15), ("eligible", 8), ("submitted", 17)] {
        let labels = [("org", "default"), ("outcome", outcome)];
        assert_eq!(page.count("genesys_purge_conversations_open", &labels), number, "{outcome}");
    }
    for (state, number) in [("queued", 1), ("running", 1), ("paused", 0), ("canceling", 0)] {
        let labels = [("org", "default"), ("state", state)];
        assert_eq!(page.count("genesys_purge_purges_open", &labels), number, "{state}");
    }
    for (state, number) in [("pending", 7), ("dead", 2)] {
        assert_eq!(page.count("genesys_purge_webhook_deliveries", &[("state", state)]), number, "{state}");
    }
    for (name, seconds) in [("oldest_open_purge_age", 7200.0), ("oldest_pending_delivery_age", 3600.0)] {
        let age = page.sum(&format!("genesys_purge_{name}_seconds"), &[]);
        assert!((seconds..seconds + 300.0).contains(&age), "{name}: {age}");
    }
}

#[tokio::test]
async fn connections_are_told_by_who_holds_them() {
    let test = Setup::new().role(Role::Api).env("PURGE__DATABASE__MAX_CONNECTIONS", "11").start().await;
    let mut lock = test.database.connect().await;
    lock.execute("begin; lock table holds in access exclusive mode").await.unwrap();
    let hold = json!({ "matter": "Smith v. Jones", "conversationIds": [test.ids_of(Kind::Eligible)[0]] });
    let held: Vec<_> =
        (0..3).map(|_| tokio::spawn(test.request(Method::POST, "/holds").json(&hold).send())).collect();
    let waiting = "select count(*) from pg_locks
                   where not granted and relation = 'holds'::regclass
                     and database = (select oid from pg_database where datname = current_database())";
    test.wait_until("all of them wait", async || test.number(waiting).await == 3).await;

    let page = scrape(&test).await;
    let number =
        |pool, state| page.count("genesys_purge_database_connections", &[("pool", pool), ("state", state)]);
    let max = |pool| page.count("genesys_purge_database_connections_max", &[("pool", pool)]);
    assert_eq!((max("engine"), max("requests")), (6, 5));
    assert!((3..=4).contains(&number("requests", "in_use")), "three, and perhaps the scrape: {page:?}");
    assert!(number("requests", "idle") <= 2, "{page:?}");
    assert_eq!(number("engine", "in_use"), 0, "a process for requests alone does no work");

    lock.execute("rollback").await.unwrap();
    for held in held {
        assert_eq!(held.await.unwrap().unwrap().status(), StatusCode::CREATED);
    }
}
