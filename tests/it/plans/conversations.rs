//! The conversations of one outcome: a page reads the slices that have some, however many others there are.

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
            "insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, decided_at)
             select '{PURGE}', no, 1, '{{0}}', 0, outcome, 'validate', now()
             from generate_series(0, {SLICES} - 1) no, unnest(array[1, 2, 3, 6, 6, 9]) outcome
             where outcome < 9 or no > {SLICES} - 3"
        ),
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
}

#[tokio::test]
async fn a_page_of_one_outcome_reads_the_slices_that_have_it() {
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
    }
}
