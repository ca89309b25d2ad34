//! What admins ask: a page reads what it shows, however many purges and holds there are, and whatever the planner thinks of the
//! tables.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};
use uuid::Uuid;

use super::assert_reads;
use crate::support::postgres::TestDatabase;

const PURGES: usize = 20_000;
const HOLDS: usize = 20_000;
const ID: &str = "01900000-0000-7000-8000-0000000000c1";

/// A page of a hundred and one, of each of two orgs, each looked up once more; and the orgs.
const PAGE: f64 = 2.0 * 101.0 * 2.0 + 4.0;

async fn fill(connection: &mut PgConnection) {
    for statement in [
        "insert into orgs (name, policy) values ('much', '{}'), ('rare', '{}')".to_owned(),
        format!(
            "insert into purges (id, org, state, dry_run, requested_by, request_id, created_at, finished_at, turn_at,
                                 duplicates, total, on_hold, pending)
             select lpad(to_hex(no), 32, '0')::uuid, case when no % 1000 = 0 then 'rare' else 'much' end,
                    case when no % 2 = 0 then 'completed' else 'queued' end::purge_state, false,
                    case when no % 1000 = 0 then 'seldom' else 'often' end, 'r', now() - no * interval '1 minute',
                    case when no % 2 = 0 then now() - no * interval '30 seconds' end, now(), 0, 1, (no + 1) % 2, no % 2
             from generate_series(1, {PURGES}) no"
        ),
        format!(
            "insert into holds (id, matter, active, created_by, request_id, created_at, released_at, conversations, orgs)
             select lpad(to_hex(no), 32, '0')::uuid, 'm', no % 500 = 0, 't', 'r', now() - interval '1 day',
                    case when no % 500 <> 0 then now() - interval '1 hour' end, 1, '{{much}}'
             from generate_series(1, {HOLDS}) no"
        ),
        "insert into hold_orgs (org, hold_id, active) select 'much', id, active from holds on conflict do nothing".to_owned(),
        format!(
            "insert into hold_conversations (conversation_id, org, hold_id)
             select case when no <= 20 then '{ID}' else gen_random_uuid() end, 'much', lpad(to_hex(no), 32, '0')::uuid
             from generate_series(1, {HOLDS}) no"
        ),
        format!(
            "insert into hold_conversations (conversation_id, org, hold_id)
             select gen_random_uuid(), 'much', '{:0>32}' from generate_series(1, {HOLDS})",
            "1f4"
        ),
        format!(
            "insert into purge_acts (purge_id, act, actor, at) select id, 'pause', 't', now() from purges limit {PURGES}"
        ),
        "insert into findings (org, conversation_id, gone_at)
         select 'much', conversation_id, now() from hold_conversations on conflict do nothing"
            .to_owned(),
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
}

async fn assert_pages_read_little(connection: &mut PgConnection) {
    let last = "'ffffffff-ffff-ffff-ffff-ffffffffffff'";
    let middle = "now() - interval '5 days'";
    for reach in ["null", "'{rare}'", "'{much,rare}'"] {
        for from in ["null", middle] {
            for to in ["null", middle, "now() - interval '1 day'"] {
                let page = format!("{reach}, {from}, {to}, {last}, 101");
                assert_reads(connection, "list_purges_by_time", &page, PAGE).await;
                for by in ["seldom", "often", "nobody"] {
                    let page = format!("{page}, '{by}'");
                    assert_reads(connection, "list_purges_by_requester", &page, PAGE).await;
                }
                if from != "null" {
                    assert_reads(connection, "list_purges_by_end", &page, PAGE).await;
                }
            }
        }
        for active in ["true", "false"] {
            let page = format!("{reach}, {active}, {last}, 101");
            assert_reads(connection, "holds_by_activity", &page, PAGE).await;
        }
        for active in ["null", "true", "false"] {
            let page = format!("'{ID}', {reach}, {active}, {last}, 101");
            assert_reads(connection, "holds_naming", &page, 60.0).await;
        }
        if reach != "'{rare}'" {
            let hold = format!("'{:0>32}'", "1f4");
            let page = format!("{hold}, '00000000-0000-0000-0000-000000000000', {reach}, 101");
            assert_reads(connection, "held_conversations", &page, 101.0).await;
            let some = "select array_agg(conversation_id)::text
                        from (select conversation_id from hold_conversations where hold_id = $1 limit 101) named";
            let named = sqlx::query_scalar::<_, String>(some).bind(Uuid::from_u128(0x1f4));
            let ids = format!("'{}'", named.fetch_one(&mut *connection).await.unwrap());
            assert_reads(connection, "fate_of_held", &format!("{hold}, {ids}, {reach}"), 101.0 * 4.0).await;
        }
    }
    // Twenty holds name it; ten are counted, and each is looked at once.
    let asked = format!("array['much'], array['{ID}']::uuid[], array[now() - interval '2 hours'], 10");
    assert_reads(connection, "protecting", &asked, 40.0).await;
    let hundred: Vec<String> = (1..=100).map(|no| format!("{no:0>32x}")).collect();
    let narrowed = format!("'{{{}}}', 'queued', 'often', null, null, '{{}}'", hundred.join(","));
    assert_reads(connection, "narrow_purges", &narrowed, 100.0).await;
}

#[tokio::test]
async fn lists_by_time_requester_and_hold_read_what_they_show_however_much_there_is() {
    let database = TestDatabase::create().await;
    let mut connection = database.connect().await;
    connection.execute("set plan_cache_mode = force_generic_plan").await.unwrap();
    fill(&mut connection).await;
    assert_pages_read_little(&mut connection).await;
    connection.execute("analyze").await.unwrap();
    assert_pages_read_little(&mut connection).await;
}
