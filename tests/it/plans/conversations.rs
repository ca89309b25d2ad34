//! The conversations of a purge: a page reads the slices that have some of the outcome that is asked for, and of what was decided
//! that about them, however much else there is.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use super::assert_reads;
use crate::support::postgres::TestDatabase;

const SLICES: usize = 20_000;
const PURGE: &str = "01900000-0000-7000-8000-0000000000d1";

/// Of each slice some was purged and some retained, as two decisions said; in the last ones some failed.
async fn fill(connection: &mut PgConnection) {
    for statement in [
        "insert into orgs (name, policy) values ('one', '{}')".to_owned(),
        format!(
            "insert into purges (id, org, state, dry_run, requested_by, request_id, created_at, finished_at, turn_at,
                                 duplicates, total, pending, purged)
             values ('{PURGE}', 'one', 'completed', false, 't', 'r', now(), now(), now(), 0, 1, 0, 1)"
        ),
        format!(
            "insert into slices (purge_id, slice_no, org, state, ids, outcomes, pending, run_at)
             select '{PURGE}', no, 'one', 'settled', array[gen_random_uuid()], '\\x13', 0, now()
             from generate_series(0, {SLICES} - 1) no"
        ),
        format!(
            "insert into jobs (id, org, state, result, body_sha256, size, finished_at)
             select lpad(to_hex(no), 32, '0')::uuid, 'one', 'done', 'completed', '', 1, now()
             from generate_series(0, {SLICES} - 1) no"
        ),
        format!(
            "insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, job_id, decided_at)
             select '{PURGE}', no, 1, '{{0}}', 0, outcome, 'validate', lpad(to_hex(no), 32, '0')::uuid, now()
             from generate_series(0, {SLICES} - 1) no, unnest(array[1, 2, 3, 6, 6, 9]) outcome
             where outcome < 9 or no > {SLICES} - 3"
        ),
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
}

#[tokio::test]
async fn a_page_of_conversations_reads_their_slices_and_what_was_decided_about_them() {
    let database = TestDatabase::create().await;
    let mut connection = database.connect().await;
    connection.execute("set plan_cache_mode = force_generic_plan").await.unwrap();
    fill(&mut connection).await;
    for is_analyzed in [false, true] {
        if is_analyzed {
            connection.execute("analyze").await.unwrap();
        }
        for reach in ["null", "'{one}'"] {
            for from in [0, SLICES / 2] {
                // Purged, retained by two decisions each, failed at the end, not found nowhere.
                for outcome in [3, 6, 9, 7] {
                    let page = format!("'{PURGE}', {from}, 4, {reach}, {outcome}");
                    assert_reads(&mut connection, "conversations_of_outcome", &page, 4.0 * 3.0 + 2.0).await;
                }
            }
        }
        // Five decisions, and the job of each.
        let slices = format!("'{PURGE}', '{{7,8,9,{}}}'", SLICES / 2);
        assert_reads(&mut connection, "decisions_on", &slices, 4.0 * 10.0).await;
        let named = format!("'{{{PURGE},{PURGE}}}', '{{3,{}}}', '{{0,0}}'", SLICES / 2);
        assert_reads(&mut connection, "decisions_about", &named, 2.0 * 10.0).await;
    }
}
