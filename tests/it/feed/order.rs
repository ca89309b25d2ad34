//! No event is skipped, whatever writes or dies, and however long a transaction takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use genesys_purge::app::{Role, Service, World};
use genesys_purge::sandbox::Kind;
use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, Executor as _};
use uuid::Uuid;

use super::{all, assert_in_order, event, numbers, whole};
use crate::support::books::all_final;
use crate::support::postgres::new_id;
use crate::support::process::Serving;
use crate::support::{Setup, TestService};

/// Transactions that write an event, each as long as it likes; their ids.
async fn write_slowly(test: &TestService, number: u64, seed: u64) -> Vec<Uuid> {
    let (mut connection, make_id) = (test.database.connect().await, new_id());
    let mut ids = Vec::new();
    for turn in 0..number {
        let id = make_id();
        connection.execute("begin").await.unwrap();
        connection.execute(AssertSqlSafe(event(id, Some("default")))).await.unwrap();
        let pause = (seed * 7 + turn * 13) % 90;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let is_undone = (seed + turn).is_multiple_of(7);
        connection.execute(if is_undone { "rollback" } else { "commit" }).await.unwrap();
        ids.extend((!is_undone).then_some(id));
    }
    ids
}

#[tokio::test]
async fn a_reader_misses_nothing_while_transactions_overlap_and_two_replicas_number_them() {
    let test = Setup::new().env("PURGE__ORGS__DEFAULT__MAX_BATCH", "2").start().await;
    let other =
        Service::start(&test.settings, &World::machine(), &test.database.place(), Role::All).await.unwrap();
    let is_over = AtomicBool::new(false);
    let follow = async {
        let (mut seen, mut after) = (Vec::new(), 0);
        loop {
            let was_over = is_over.load(Ordering::SeqCst);
            let page = all(&test, after, 7).await;
            after = page.last().map_or(after, |event| event["no"].as_i64().unwrap());
            let is_empty = page.is_empty();
            seen.extend(page);
            if was_over && is_empty {
                return seen;
            }
        }
    };
    let write = async {
        let slow = futures_util::future::join_all((1..=8).map(|seed| write_slowly(&test, 25, seed)));
        let purges = async {
            let ids = test.ids_of(Kind::Eligible);
            futures_util::future::join_all(ids.chunks(10).map(|ids| test.purge(ids))).await;
            all_final(&test).await;
        };
        let (written, ()) = tokio::join!(slow, purges);
        let everything = whole(&test).await;
        is_over.store(true, Ordering::SeqCst);
        (written.concat(), everything)
    };
    let (seen, (written, everything)) = tokio::join!(follow, write);
    assert_in_order(&everything);
    assert_eq!(numbers(&seen), numbers(&everything), "what a reader saw who followed");
    assert_eq!(seen, everything);
    for id in &written {
        assert!(seen.iter().any(|event| event["id"] == id.to_string()), "{id}");
    }
    assert!(seen.len() > 250, "{}", seen.len());
    other.stop().await;
    test.assert_no_breach();
}

#[tokio::test]
async fn an_event_that_is_committed_late_comes_late_and_is_found() {
    let test = Setup::new().role(Role::Api).start().await;
    let make_id = new_id();
    let (late, early) = (make_id(), make_id());
    let mut connection = test.database.connect().await;
    connection.execute("begin").await.unwrap();
    connection.execute(AssertSqlSafe(event(late, None))).await.unwrap();
    test.sql(&event(early, None)).await;
    test.wait_until("the second is numbered", async || all(&test, 0, 9).await.len() == 1).await;
    connection.execute("commit").await.unwrap();
    let events = whole(&test).await;
    assert_in_order(&events);
    assert_eq!(events[0]["id"], early.to_string());
    assert_eq!(events[1]["id"], late.to_string());
}

#[tokio::test]
async fn what_one_process_saw_before_it_wrote_comes_before_that_whatever_the_clocks_say() {
    let test = Setup::new().role(Role::Api).start().await;
    // Nobody numbers until all are there.
    let mut lock = test.database.connect().await;
    lock.execute("begin; select pg_advisory_xact_lock(x'66656564'::int)").await.unwrap();
    let make_id = new_id();
    let ids: Vec<Uuid> = (0..5).map(|_| make_id()).collect();
    for (back, id) in ids.iter().enumerate() {
        let clock = format!("clock_timestamp() - interval '{back} hours'");
        test.sql(&event(*id, None).replace("clock_timestamp()", &clock)).await;
    }
    lock.execute("commit").await.unwrap();
    let events = whole(&test).await;
    let told: Vec<Uuid> = events.iter().map(|event| event["id"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(told, ids);
}

#[tokio::test]
async fn what_a_process_wrote_that_was_killed_is_numbered_by_another_within_seconds() {
    let test = Setup::new().role(Role::Api).start().await;
    let ids = test.ids_of(Kind::Eligible);
    let of_engine = "select count(*) from events where actor = 'engine'";
    for round in 0..4 {
        let worker = Serving::start(test.serve(&["--role", "worker"])).await;
        let before = test.number(of_engine).await;
        for ids in ids[round * 25..(round + 1) * 25].chunks(5) {
            test.purge(ids).await;
        }
        test.wait_until("it works", async || test.number(of_engine).await > before + 2).await;
        assert_eq!(worker.end(Signal::SIGKILL).await, None);
        let killed = Instant::now();
        assert_in_order(&whole(&test).await);
        assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
    }
    let accepted = whole(&test).await.iter().filter(|event| event["type"] == "purge_accepted").count();
    assert_eq!(accepted, 20);
}

#[tokio::test]
async fn thousands_of_events_from_before_are_numbered_in_the_order_of_each_purge() {
    let test = Setup::new().role(Role::Api).start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..1]).await;
    whole(&test).await;
    // As an upgrade finds them: ids and clocks that contradict the numbers, and nothing in the queue.
    test.sql(&format!(
        "begin;
         insert into events (id, type, org, purge_id, event_no, actor, payload, at)
         select overlay(gen_random_uuid()::text placing to_char(n % 5000, 'FM00000000') from 1 for 8)::uuid, 'purge_paused',
                'default', '{purge}', n, 'tester', '{{}}', now() - interval '1 second' * (n % 17)
         from generate_series(2, 9000) n;
         update purges set event_no = 9000 where id = '{purge}';
         delete from events_unstamped;
         insert into events_backlog (after) values ('00000000-0000-0000-0000-000000000000');
         commit"
    ))
    .await;
    let new = new_id()();
    test.sql(&event(new, None)).await;
    let events = whole(&test).await;
    assert_eq!(events.len(), 9001);
    assert_in_order(&events);
    assert_eq!(events.last().unwrap()["id"], new.to_string(), "what is new comes after them");
    assert_eq!(test.number("select count(*) from events_backlog").await, 0);
    let is_falling = "select count(*) from event_numbers a join event_numbers b on b.no = a.no + 1 where b.stamped_at < a.stamped_at";
    assert_eq!(test.number(is_falling).await, 0);
}

#[tokio::test]
async fn an_event_is_in_the_feed_within_a_tenth_of_a_second_and_an_idle_service_asks_once_a_second() {
    let test = Arc::new(TestService::start().await);
    whole(&test).await;
    let mut waits = Vec::new();
    for _ in 0..20 {
        let written = Instant::now();
        let (status, _) = test.post("/orgs/default/stop", &serde_json::json!({ "reason": "drill" })).await;
        assert_eq!(status, 200);
        let (status, _) = test.post("/orgs/default/resume", &serde_json::json!({})).await;
        assert_eq!(status, 200);
        test.wait_until("it is there", async || {
            test.number("select count(*) from events_unstamped").await == 0
        })
        .await;
        waits.push(written.elapsed());
    }
    waits.sort();
    println!("from two requests to the feed: {:?} in the middle, {:?} at most", waits[10], waits[19]);
    assert!(waits[10] < Duration::from_millis(200), "{waits:?}");
    let stamps = async || {
        test.counted("genesys_purge_transaction_duration_seconds_count", "transaction=\"stamp_events\"").await
    };
    let before = stamps().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stamps().await, before, "nothing is numbered where nothing was written");
}
