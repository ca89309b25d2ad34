//! What a turn of the dispatcher reads does not grow with the purges that are open: the very statements, by the plans that
//! prepared statements end up with, over a hundred thousand purges.

mod conversations;
mod endpoints;
mod feed;
mod overview;
mod questions;

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};
use uuid::Uuid;

use crate::support::postgres::TestDatabase;

/// Open purges of each org.
const PURGES: usize = 20_000;

/// No statement of a turn reads more rows than this.
const ROWS: f64 = 1500.0;

/// What the purges of each org are like: state, pending, eligible, submitted, drawable, since when it stands in line, and
/// whether it was canceled with nothing left to sweep.
const ORGS: [(&str, &str); 5] = [
    ("resting", "'running', 3, 0, 0, 0, now() + interval '1 hour', 'queued'"),
    ("due", "'queued', 3, 0, 0, 0, now() - interval '1 hour', 'queued'"),
    ("drawable", "'running', 0, 3, 0, 3, null::timestamptz, 'ready'"),
    ("canceling", "'canceling', 3, 0, 0, 0, now() - interval '1 hour', 'queued'"),
    ("leaving", "'canceling', 0, 0, 3, 0, null::timestamptz, 'ready'"),
];

async fn fill(connection: &mut PgConnection) {
    for (org, like) in ORGS {
        let statements = [
            format!(
                "insert into orgs (name, policy, blocked_call, blocked_code, blocked_detail, blocked_at, probe_at)
                 values ('{org}', '{{}}', 'details', 'c', 'd', now(), now())"
            ),
            format!(
                "insert into purges (id, org, state, dry_run, requested_by, request_id, created_at, turn_at, duplicates,
                                     total, pending, eligible, submitted, drawable, ask_at)
                 select gen_random_uuid(), '{org}', w.state::purge_state, false, 't', 'r', now(),
                        now() + no * interval '1 millisecond', 0, 3, w.pending, w.eligible, w.submitted, w.drawable,
                        w.ask_at + no * interval '1 millisecond'
                 from generate_series(1, {PURGES}) no,
                      (select {like}) w (state, pending, eligible, submitted, drawable, ask_at, slice)"
            ),
            format!(
                "insert into slices (purge_id, slice_no, org, state, ids, outcomes, pending, drawable, run_at)
                 select p.id, 0, '{org}', w.slice::slice_state,
                        array[gen_random_uuid(), gen_random_uuid(), gen_random_uuid()], '\\x000000', w.pending,
                        w.drawable, coalesce(p.ask_at, now())
                 from purges p,
                      (select {like}) w (state, pending, eligible, submitted, drawable, ask_at, slice)
                 where p.org = '{org}'"
            ),
        ];
        for statement in statements {
            connection.execute(AssertSqlSafe(statement)).await.unwrap();
        }
    }
}

/// The text of a statement of the service.
fn statement(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let head = format!("-- {name}\n");
    let mut texts = std::fs::read_dir(folder).unwrap().filter_map(|entry| {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let query: Value = serde_json::from_str(&text).unwrap();
        Some(query["query"].as_str()?.to_owned()).filter(|text| text.starts_with(&head))
    });
    texts.next().unwrap_or_else(|| panic!("no statement is called {name}"))
}

/// How many rows the tables gave, whether or not they were wanted.
fn rows_read(node: &Value) -> f64 {
    let number = |key: &str| node[key].as_f64().unwrap_or_default();
    let of_node = if node["Relation Name"].is_string() {
        let rows = ["Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"];
        rows.map(number).iter().sum::<f64>() * number("Actual Loops")
    } else {
        0.0
    };
    of_node + node["Plans"].as_array().into_iter().flatten().map(rows_read).sum::<f64>()
}

/// Each node of a plan in a line.
fn tell(node: &Value, nodes: &mut Vec<String>) {
    let said = ["Node Type", "Relation Name", "Index Name", "Actual Rows", "Actual Loops"]
        .map(|key| node[key].to_string());
    nodes.push(said.join(" "));
    for child in node["Plans"].as_array().into_iter().flatten() {
        tell(child, nodes);
    }
}

/// Does the statement, by a plan for whatever comes, and takes it back.
async fn assert_reads_little(connection: &mut PgConnection, name: &str, arguments: &str) {
    assert_reads(connection, name, arguments, ROWS).await;
}

/// The same for no more rows than that.
async fn assert_reads(connection: &mut PgConnection, name: &str, arguments: &str, most: f64) {
    prepare(connection, name).await;
    assert_prepared_reads(connection, name, arguments, most).await;
    connection.execute("deallocate asked").await.unwrap();
}

async fn prepare(connection: &mut PgConnection, name: &str) {
    let text = statement(name);
    connection.execute(AssertSqlSafe(format!("prepare asked as {text}"))).await.unwrap();
}

/// The same of what is prepared, and may have been planned.
async fn assert_prepared_reads(connection: &mut PgConnection, name: &str, arguments: &str, most: f64) {
    connection.execute("begin").await.unwrap();
    let explain = format!("explain (analyze, timing off, format json) execute asked ({arguments})");
    let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(&mut *connection).await.unwrap();
    connection.execute("rollback").await.unwrap();
    let read = rows_read(&plan[0]["Plan"]);
    let mut nodes = Vec::new();
    tell(&plan[0]["Plan"], &mut nodes);
    assert!(read <= most, "{name} ({arguments:.40}) read {read} rows: {nodes:#?}");
}

async fn some(connection: &mut PgConnection, org: &str, number: usize) -> String {
    let sql = format!("select id from purges where org = '{org}' order by ask_at, turn_at limit {number}");
    let ids: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap();
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    format!("'{{{}}}'", ids.join(","))
}

async fn assert_every_turn_reads_little(connection: &mut PgConnection) {
    for (org, _) in ORGS {
        for name in
            ["survey_open", "slices_due_for_slots", "slices_due_first", "line_up", "lock_org", "count_slots"]
        {
            assert_reads_little(connection, name, &format!("'{org}'")).await;
        }
        for name in ["canceled_purges_to_sweep", "retried_purge_to_sweep"] {
            assert_reads_little(connection, name, &format!("'{org}', '{{}}'")).await;
        }
        assert_reads_little(connection, "slices_to_wake", &format!("'{org}', '{{}}', 50")).await;
    }
    let due = some(connection, "due", 200).await;
    assert_reads_little(connection, "start_purges", &due).await;
    let drawable = some(connection, "drawable", 200).await;
    let takes = vec!["3"; 200].join(",");
    assert_reads_little(connection, "choose_slices_to_draw", &format!("{drawable}, '{{{takes}}}'")).await;
    let canceling = some(connection, "canceling", 20).await;
    assert_reads_little(connection, "slices_to_cancel", &format!("{canceling}, 'canceling', 1, 1")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_reads_no_more_with_a_hundred_thousand_open_purges() {
    let database = TestDatabase::create().await;
    let mut connection = database.connect().await;
    connection.execute("set plan_cache_mode = force_generic_plan").await.unwrap();
    fill(&mut connection).await;
    // As it is right after a large accept, and once the planner knows better.
    assert_every_turn_reads_little(&mut connection).await;
    connection.execute("analyze").await.unwrap();
    assert_every_turn_reads_little(&mut connection).await;
}

/// Deliveries of each of two orgs, and of none.
const DELIVERIES: usize = 15_000;

/// A page of a hundred, and one row more, of each of them; and the orgs.
const PAGES: f64 = 3.0 * 101.0 + 2.0;

async fn fill_deliveries(connection: &mut PgConnection) {
    let purge = Uuid::from_u128(1);
    for (number, org) in (1..).zip(["'one'", "'two'", "null"]) {
        let event = Uuid::from_u128(number);
        let statements = [
            format!("insert into orgs (name, policy) select {org}, '{{}}' where {org} is not null"),
            format!(
                "insert into purges (id, org, state, dry_run, requested_by, request_id, created_at, turn_at, duplicates,
                                     total, pending)
                 select '{purge}', {org}, 'queued', false, 't', 'r', now(), now(), 0, 1, 1 where {number} = 1"
            ),
            format!(
                "insert into events (id, type, org, actor, payload, at)
                 values ('{event}', 'purge_job_completed', {org}, 'engine', '{{}}', now())"
            ),
            format!(
                "insert into deliveries (id, event_id, endpoint, payload, state, created_at, delivered_at)
                 select gen_random_uuid(), '{event}', 'retention', '{{}}', s.state::delivery_state,
                        now() - no * interval '1 second', case when s.state = 'delivered' then now() end
                 from generate_series(1, {DELIVERIES}) no,
                      unnest(array['pending', 'delivered', 'dead']) with ordinality s (state, place)
                 where no % 3 = s.place - 1"
            ),
            format!(
                "insert into purge_deliveries (purge_id, created_at, delivery_id)
                 select '{purge}', created_at, id from deliveries where {number} = 1"
            ),
        ];
        for statement in statements {
            connection.execute(AssertSqlSafe(statement)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_list_of_deliveries_reads_what_it_shows_of_each_org_however_many_there_are() {
    let database = TestDatabase::create().await;
    let mut connection = database.connect().await;
    connection.execute("set plan_cache_mode = force_generic_plan").await.unwrap();
    fill_deliveries(&mut connection).await;
    let (last, middle) = (Uuid::max(), "now() - interval '1 hour'");
    for is_analyzed in [false, true] {
        if is_analyzed {
            connection.execute("analyze").await.unwrap();
        }
        for orgs in ["null", "'{one}'", "'{one,two}'", "'{}'"] {
            for (since, before) in [("null", "null"), (middle, "null"), ("null", middle)] {
                let page = format!("{orgs}, {since}, {before}, null, 101, '{last}'");
                assert_reads(&mut connection, "list_deliveries", &page, PAGES).await;
                let page = format!("{page}, 'dead'");
                assert_reads(&mut connection, "list_deliveries_in_state", &page, PAGES).await;
            }
            let batch = format!("{orgs}, {middle}, {middle}, '{}', 101", Uuid::nil());
            assert_reads(&mut connection, "dead_since", &batch, PAGES).await;
        }
        let page = format!("'{}', null, {middle}, null, 101, '{last}', null, null", Uuid::from_u128(1));
        assert_reads(&mut connection, "list_deliveries_of_purge", &page, PAGES).await;
        let page = format!("'retention', null, {middle}, null, 101, null, null, '{last}'");
        assert_reads(&mut connection, "list_deliveries_of_endpoint", &page, PAGES).await;
        // Whom something is sent, and what: as many as are sent, however many wait.
        let lanes = "'', 200, 5, 2, '{}', '{}', 'retention', true, 8, '{}'";
        assert_reads(&mut connection, "delivery_lanes", lanes, 20.0).await;
        assert_reads(&mut connection, "claim_deliveries", "'{retention}', '{8}', 64, 30", 80.0).await;
        let ended =
            format!("'[{{\"id\": \"{}\", \"epoch\": 0, \"state\": \"delivered\"}}]'", Uuid::from_u128(9));
        assert_reads(&mut connection, "record_attempts", &ended, 20.0).await;
    }
}

/// A service that has just been set up keeps its first plans for hours: nobody analyzes tables that grow while it works.
#[tokio::test]
async fn the_check_of_an_intent_reads_no_more_by_a_plan_that_was_made_while_the_tables_were_empty() {
    const IDS: usize = 500;
    let database = TestDatabase::create().await;
    let mut connection = database.connect().await;
    connection.execute("set plan_cache_mode = force_generic_plan").await.unwrap();
    let (job, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let ids: Vec<String> = (1..=IDS).map(|number| Uuid::from_u128(number as u128).to_string()).collect();
    let ids = ids.join(",");
    let arguments = format!("'org', '{job}', '{{{ids}}}', array_fill(null::timestamptz, array[{IDS}])");
    // As tables are that were never analyzed; those of the tests are copies.
    let fresh = "update pg_class set relpages = 0, reltuples = -1
                 where relname in ('findings', 'reservations', 'holds', 'hold_conversations')";
    connection.execute(fresh).await.unwrap();
    prepare(&mut connection, "check_ids").await;
    connection.execute(AssertSqlSafe(format!("execute asked ({arguments})"))).await.unwrap();
    for statement in [
        "insert into orgs (name, policy) values ('org', '{}')".to_owned(),
        format!("insert into jobs (id, org, ids, size) values ('{job}', 'org', '{{{ids}}}', {IDS}), ('{other}', 'org', '{{}}', 0)"),
        format!("insert into reservations (org, conversation_id, job_id) select 'org', id, '{job}' from unnest('{{{ids}}}'::uuid[]) id"),
        format!("insert into reservations (org, conversation_id, job_id) select 'org', gen_random_uuid(), '{other}' from generate_series(1, 20000)"),
        format!("insert into findings (org, conversation_id, kept_at) select 'org', id, now() from unnest('{{{ids}}}'::uuid[]) id"),
        format!("insert into holds (id, matter, active, created_by, request_id, created_at, conversations, orgs) values ('{job}', 'm', true, 't', 'r', now(), 20000, '{{org}}')"),
        format!("insert into hold_conversations (hold_id, org, conversation_id) select '{job}', 'org', gen_random_uuid() from generate_series(1, 20000)"),
        "insert into findings (org, conversation_id, gone_at) select 'org', gen_random_uuid(), now() from generate_series(1, 20000)".to_owned(),
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    assert_prepared_reads(&mut connection, "check_ids", &arguments, ROWS).await;
}
