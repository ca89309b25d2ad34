//! The feed: what a page and a round of the sequencer read does not grow with the events that there are.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use super::assert_reads;
use crate::support::postgres::TestDatabase;

const EVENTS: usize = 30_000;
/// Those that wait for a number.
const WAITING: usize = 300;
/// Rows of a page, or of a round.
const LIMIT: usize = 101;

/// Events of two orgs, of which one has few; all but the last have numbers, and some are from before all of them.
async fn fill(connection: &mut PgConnection) {
    let purge = "00000000-0000-0000-0000-000000000001";
    for statement in [
        "insert into orgs (name, policy) values ('much', '{}'), ('rare', '{}')".to_owned(),
        format!(
            "insert into purges (id, org, state, dry_run, requested_by, request_id, created_at, turn_at, duplicates, total,
                                 pending, event_no)
             values ('{purge}', 'much', 'queued', false, 't', 'r', now(), now(), 0, 1, 1, 2000)"
        ),
        format!(
            "insert into events (id, type, org, purge_id, event_no, actor, payload, at)
             select lpad(to_hex(no), 32, '0')::uuid, 'purge_paused', 'much', '{purge}', no, 'engine', '{{}}', now()
             from generate_series(1, 2000) no"
        ),
        "delete from events_unstamped".to_owned(),
        format!(
            "insert into events (id, type, org, actor, payload, at)
             select gen_random_uuid(), 'org_stopped', case when no % 1000 = 0 then 'rare' else 'much' end, 'engine', '{{}}',
                    now()
             from generate_series(1, {EVENTS}) no"
        ),
        format!(
            "with taken as (
                 delete from events_unstamped where place <= (select max(place) from events_unstamped) - {WAITING}
                 returning place, event_id
             )
             insert into event_numbers (no, event_id, org, stamped_at)
             select row_number() over (order by place), event_id, org, now() + place * interval '1 millisecond'
             from taken join events on id = event_id"
        ),
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
}

#[tokio::test]
async fn a_page_of_the_feed_and_a_round_of_the_sequencer_read_no_more_with_thousands_of_events() {
    let database = TestDatabase::create().await;
    let mut connection = database.connect().await;
    connection.execute("set plan_cache_mode = force_generic_plan").await.unwrap();
    fill(&mut connection).await;
    #[expect(clippy::cast_precision_loss, reason = "a hundred")]
    let limit = LIMIT as f64;
    for is_analyzed in [false, true] {
        if is_analyzed {
            connection.execute("analyze").await.unwrap();
        }
        for after in [0, EVENTS / 2, EVENTS - WAITING - 10] {
            assert_reads(&mut connection, "feed", &format!("{after}, {LIMIT}"), 3.0 * limit).await;
            for (orgs, number) in [("{rare}", 1.0), ("{much,rare}", 2.0), ("{none}", 1.0)] {
                let page = format!("{after}, {LIMIT}, '{orgs}'");
                assert_reads(&mut connection, "feed_of_orgs", &page, (2.0 + number) * limit).await;
            }
        }
        for time in ["'2020-01-01'", "now()", "now() + interval '10 seconds'", "'2200-01-01'"] {
            assert_reads(&mut connection, "feed_before", time, 40.0).await;
        }
        assert_reads(&mut connection, "stamp_committed", &LIMIT.to_string(), 4.0 * limit + 3.0).await;
        let (nobody, last) =
            ("'00000000-0000-0000-0000-000000000000'", "'00000000-0000-0000-0000-000000000065'");
        assert_reads(&mut connection, "backlog_upto", &format!("{nobody}, {LIMIT}"), limit).await;
        // Each event is found by its id, by its purge, and again for what stands in it; and it is written.
        assert_reads(&mut connection, "stamp_backlog", &format!("{nobody}, {last}"), 6.0 * limit + 3.0).await;
    }
}
