//! A million ids by CSV over HTTP, beside a `COPY` of the same ids into one table with one index; resident memory of the
//! service at one and at five million; the idle service.
//!
//! `cargo bench --bench accept`

mod support;

use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, PgConnection};

use support::{Process, random_ids, spread};

const MILLION: usize = 1_000_000;
const ROUNDS: u64 = 5;

#[tokio::main]
async fn main() {
    // Nothing answers there: accepting asks nobody, and the engine is paused.
    let variables = [("PURGE__ENGINE__PAUSED", "true"), ("PURGE__INTAKE__MAX_IDS", "20000000")];
    let process = Process::start("http://127.0.0.1:9", &variables);
    idle(&process).await;
    let mut connection = process.connect().await;
    let (mut copies, mut accepts, mut ratios, mut peaks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let copy = copy(&mut connection, round).await;
        process.forget_peak();
        let accept = process.accept(round, MILLION).await.0;
        peaks.push(process.memory().1);
        println!("round {round}: COPY {copy:.2} s, accept {accept:.2} s, ratio {:.2}", accept / copy);
        copies.push(copy);
        accepts.push(accept);
        ratios.push(accept / copy);
    }
    let told = |name: &str, figures: Vec<f64>| {
        let (least, median, most) = spread(figures);
        println!("{name}: median {median:.2} ({least:.2} to {most:.2})");
    };
    told("COPY of 1,000,000 ids into one table with one index, s", copies);
    told("accept of 1,000,000 ids by CSV over HTTP, s", accepts);
    told("ratio (at most 2)", ratios);
    told("highest resident memory while accepting 1,000,000, MiB (at most 64)", peaks);
    process.forget_peak();
    let took = process.accept(99, 5 * MILLION).await.0;
    println!(
        "accept of 5,000,000: {took:.2} s, highest resident memory {:.1} MiB (at most 64)",
        process.memory().1
    );
}

/// Memory and queries of a service that nobody asks anything.
async fn idle(process: &Process) {
    const WATCHED: Duration = Duration::from_secs(20);
    let mut connection = process.connect().await;
    let before = transactions(&mut connection).await;
    tokio::time::sleep(WATCHED).await;
    let after = transactions(&mut connection).await;
    #[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
    let a_second = (after - before) as f64 / WATCHED.as_secs_f64();
    println!(
        "idle: {:.1} MiB resident (at most 32), {a_second:.2} transactions a second (less than 2)",
        process.memory().0
    );
    connection.close().await.unwrap();
}

async fn transactions(connection: &mut PgConnection) -> i64 {
    // Statistics are told with a delay of up to a second; the watched time is long enough for that not to matter.
    let sum = "select (xact_commit + xact_rollback) from pg_stat_database where datname = current_database()";
    sqlx::query_scalar(sum).fetch_one(connection).await.unwrap()
}

/// The yardstick: the same ids, in the same order, by binary COPY.
async fn copy(connection: &mut PgConnection, seed: u64) -> f64 {
    connection.execute("drop table if exists yardstick; create table yardstick (id uuid not null); create index on yardstick (id)").await.unwrap();
    let began = Instant::now();
    let mut copy = connection.copy_in_raw("copy yardstick from stdin (format binary)").await.unwrap();
    let mut buffer = Vec::from(&b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..]);
    for id in random_ids(seed, MILLION) {
        buffer.extend_from_slice(&1_i16.to_be_bytes());
        buffer.extend_from_slice(&16_i32.to_be_bytes());
        buffer.extend_from_slice(id.as_bytes());
        if buffer.len() > 64 * 1024 {
            copy.send(std::mem::take(&mut buffer)).await.unwrap();
        }
    }
    buffer.extend_from_slice(&(-1_i16).to_be_bytes());
    copy.send(buffer).await.unwrap();
    copy.finish().await.unwrap();
    began.elapsed().as_secs_f64()
}
