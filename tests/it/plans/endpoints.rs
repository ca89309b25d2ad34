//! Webhook endpoints: to read one, to list those that are registered, and to find whom an event is told, nobody reads those that
//! purges named, of which there may be any number.

use sqlx::{AssertSqlSafe, Executor as _};
use uuid::Uuid;

use super::assert_reads;
use crate::support::postgres::TestDatabase;

const NAMED: usize = 20_000;
const REGISTERED: usize = 20;

/// Those that are registered, and what is known of each; nothing that grows.
const ROWS: f64 = 4.0 * 20.0 + 5.0;

#[tokio::test]
async fn endpoints_are_read_and_found_without_those_that_purges_named() {
    let database = TestDatabase::create().await;
    let mut connection = database.connect().await;
    connection.execute("set plan_cache_mode = force_generic_plan").await.unwrap();
    for statement in [
        "insert into orgs (name, policy) values ('one', '{}')".to_owned(),
        format!(
            "insert into purges (id, org, state, dry_run, requested_by, request_id, created_at, turn_at, duplicates, total,
                                 pending)
             select lpad(to_hex(no), 32, '0')::uuid, 'one', 'running', false, 't', 'r', now(), now(), 0, 1, 1
             from generate_series(1, {NAMED}) no"
        ),
        "insert into webhook_endpoints (id, url, orgs, purge_id, secret, created_by)
         select gen_random_uuid(), 'https://receiver.example/', '{one}', id, 's', 't' from purges"
            .to_owned(),
        format!(
            "insert into webhook_endpoints (id, url, secret, created_by)
             select lpad(to_hex(no), 32, '0')::uuid, 'https://receiver.example/', 's', 't'
             from generate_series(1, {REGISTERED}) no"
        ),
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    let (first, last) = (Uuid::from_u128(1), Uuid::max());
    for is_analyzed in [false, true] {
        if is_analyzed {
            connection.execute("analyze").await.unwrap();
        }
        assert_reads(&mut connection, "endpoints", &format!("'{{{first}}}', null"), ROWS).await;
        assert_reads(&mut connection, "registered_endpoints", &format!("null, null, 101, '{last}'"), ROWS)
            .await;
        assert_reads(&mut connection, "listening_endpoints", &format!("'{{{first}}}'"), ROWS).await;
    }
}
