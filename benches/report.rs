//! The report of a purge of 100,000 and of 1,000,000 decided conversations, as CSV and as NDJSON over HTTP: rows a second,
//! and the memory of the process that serves it.
//!
//! `cargo bench --bench report`

mod support;

use std::time::Instant;

use sqlx::{Executor as _, PgConnection};

use support::{Process, spread};

const ROUNDS: usize = 3;

#[tokio::main]
async fn main() {
    let variables = [("PURGE__ENGINE__PAUSED", "true"), ("PURGE__INTAKE__MAX_IDS", "20000000")];
    let process = Process::start("http://127.0.0.1:9", &variables);
    let mut connection = process.connect().await;
    // Written past the service, so that its idle memory is that of one that has done nothing yet.
    let mut purges = Vec::new();
    for rows in [100_000, 1_000_000] {
        purges.push((fill(&mut connection, rows).await, rows));
    }
    let idle = process.memory().0;
    println!("idle: {idle:.1} MiB");
    for (form, media_type) in [("CSV", "text/csv"), ("NDJSON", "application/x-ndjson")] {
        for (purge, rows) in &purges {
            let (mut rates, mut over_idle, mut bytes) = (Vec::new(), Vec::new(), 0);
            for _ in 0..ROUNDS {
                process.forget_peak();
                let (took, read) = download(&process, purge, media_type, *rows).await;
                #[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
                rates.push(*rows as f64 / took);
                over_idle.push(process.memory().1 - idle);
                bytes = read;
            }
            let ((_, rate, _), (least, peak, most)) = (spread(rates), spread(over_idle));
            println!(
                "{form} of {rows}: {rate:.0} rows/s, {bytes} bytes; highest resident memory over idle: median {peak:.1} \
                 MiB ({least:.1} to {most:.1})"
            );
        }
    }
    first_byte(&process, &purges).await;
}

/// Writes a purge whose conversations have the decisions of a usual life: most were purged, some retained, some held.
async fn fill(connection: &mut PgConnection, rows: usize) -> String {
    let purge = uuid::Uuid::from_u128(rows as u128);
    let slices = i32::try_from(rows / 500).unwrap();
    let made = "insert into purges (id, org, state, dry_run, requested_by, request_id, created_at, started_at, finished_at,
                                    turn_at, duplicates, total, pending, purged, retained, on_hold)
                select $1, 'default', 'completed', false, 'bench', 'bench', now(), now(), now(), now(), 0, $2 * 500, 0,
                       $2 * 425, $2 * 50, $2 * 25";
    connection.execute(sqlx::query(made).bind(purge).bind(slices)).await.unwrap();
    let made = "insert into slices (purge_id, slice_no, org, state, ids, outcomes, pending, run_at)
                select $1, n, 'default', 'settled', array(select gen_random_uuid() from generate_series(1, 500 + n * 0)),
                       decode(repeat('13', 425) || repeat('06', 50) || repeat('05', 25), 'hex'), 0, now()
                from generate_series(0, $2 - 1) n";
    connection.execute(sqlx::query(made).bind(purge).bind(slices)).await.unwrap();
    let statements = [
        "insert into jobs (id, org, state, result, body_sha256, size, upstream_job_id, submitted_at, finished_at)
         select gen_random_uuid(), 'default', 'done', 'completed', '', 500, gen_random_uuid()::text, now(), now()
         from slices where purge_id = $1",
        "create temporary table life as
         select s.slice_no, j.id as job_id
         from (select slice_no, row_number() over (order by slice_no) as n from slices where purge_id = $1) s
         join (select id, row_number() over (order by id) as n from jobs) j using (n)",
        "insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, job_id, code, detail,
                                decided_at)
         select $1, slice_no, 1, array(select generate_series(first, last)::smallint), was, becomes, step,
                case when is_by_job then job_id end, code, detail, clock_timestamp()
         from life
         cross join (values (1, 0, 424, 0, 1, 'validate', false, 'eligible', null),
                            (2, 425, 474, 0, 6, 'validate', false, 'retention_period', 'until 2027-03-01T00:00:00Z'),
                            (3, 475, 499, 0, 5, 'validate', false, 'legal_hold', null),
                            (4, 0, 424, 1, 2, 'intend', true, 'intent', null),
                            (5, 0, 424, 2, 3, 'verify', true, 'gone', null))
                    as step (n, first, last, was, becomes, step, is_by_job, code, detail)
         order by slice_no, n",
        "drop table life",
        "analyze",
    ];
    for statement in statements {
        let takes_purge = statement.contains("$1");
        let query = sqlx::query(statement);
        let query = if takes_purge { query.bind(purge) } else { query };
        connection.execute(query).await.unwrap();
    }
    purge.to_string()
}

/// Downloads a report, of which nothing is kept; seconds and bytes.
async fn download(process: &Process, purge: &str, media_type: &str, rows: usize) -> (f64, usize) {
    let began = Instant::now();
    let request = process.client.get(format!("{}/purges/{purge}/report", process.url));
    let request = request.bearer_auth(&process.key).header(reqwest::header::ACCEPT, media_type);
    let mut response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let (mut bytes, mut lines) = (0, 0);
    while let Some(chunk) = response.chunk().await.unwrap() {
        bytes += chunk.len();
        lines += chunk.split(|byte| *byte == b'\n').skip(1).count();
    }
    assert_eq!(lines, rows + usize::from(media_type == "text/csv"));
    (began.elapsed().as_secs_f64(), bytes)
}

/// How long the first row takes, whatever the size.
async fn first_byte(process: &Process, purges: &[(String, usize)]) {
    for (purge, rows) in purges {
        let mut figures = Vec::new();
        for _ in 0..50 {
            let began = Instant::now();
            let request = process.client.get(format!("{}/purges/{purge}/report", process.url));
            let mut response = request.bearer_auth(&process.key).send().await.unwrap();
            assert!(response.chunk().await.unwrap().is_some());
            figures.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let (_, median, most) = spread(figures);
        println!("first rows of {rows}: median {median:.2} ms, at most {most:.2} ms");
    }
}
