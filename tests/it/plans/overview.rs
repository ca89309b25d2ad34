//! The admin page: what it reads does not grow with the purges and conversations that there are.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use super::assert_reads;
use crate::support::postgres::TestDatabase;

const PURGES: usize = 20_000;
const HELD: usize = 30_000;
const HOLD: &str = "01900000-0000-7000-8000-0000000000b1";

async fn fill(connection: &mut PgConnection) {
    for statement in [
        "insert into orgs (name, policy) values ('much', '{}'), ('rare', '{}')".to_owned(),
        format!(
            "insert into purges (id, org, state, dry_run, requested_by, request_id, created_at, turn_at, duplicates, total,
                                 pending)
             select lpad(to_hex(no), 32, '0')::uuid, case when no % 1000 = 0 then 'rare' else 'much' end, 'running', false,
                    't', 'r', now(), now(), 0, 1, 1
             from generate_series(1, {PURGES}) no"
        ),
        format!(
            "insert into holds (id, matter, active, created_by, request_id, created_at, conversations, orgs)
             values ('{HOLD}', 'm', true, 't', 'r', now(), {HELD}, '{{much}}')"
        ),
        format!(
            "insert into hold_conversations (conversation_id, org, hold_id)
             select gen_random_uuid(), 'much', '{HOLD}' from generate_series(1, {HELD})"
        ),
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
}

#[tokio::test]
async fn the_admin_page_reads_no_more_with_thousands_of_purges_and_held_conversations() {
    let database = TestDatabase::create().await;
    let mut connection = database.connect().await;
    connection.execute("set plan_cache_mode = force_generic_plan").await.unwrap();
    fill(&mut connection).await;
    connection.execute("analyze").await.unwrap();
    let nobody = "00000000-0000-0000-0000-000000000000";
    let states = "array['queued', 'running', 'paused', 'canceling']";
    for reach in ["null", "'{rare}'", "'{much,rare}'"] {
        assert_reads(&mut connection, "oldest_open_purge", &format!("{reach}, {states}"), 10.0).await;
        let newest = format!("{reach}, '{nobody}', {states}, 100");
        assert_reads(&mut connection, "hours_of_purges", &newest, 210.0).await;
        for after in [nobody, "80000000-0000-0000-0000-000000000000"] {
            let page = format!("'{HOLD}', '{after}', {reach}, 201");
            if reach != "'{rare}'" {
                assert_reads(&mut connection, "held_conversations", &page, 210.0).await;
            }
        }
    }
}
