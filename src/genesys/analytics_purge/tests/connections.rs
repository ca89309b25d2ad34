//! Connections that take longer than a permit is good for.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::SignedDuration;
use serde_json::json;

use super::*;

/// What a permit is good for in these tests, and how long a connection is under way.
const PERMIT: Duration = Duration::from_millis(600);
const WAY: Duration = Duration::from_millis(700);

fn well(seen: &Seen) -> Act {
    match seen.line.as_str() {
        PURGE => json_answer(202, &json!({"jobId": "j-1"})),
        DETAILS => json_answer(200, &json!({"data": []})),
        _ => json_answer(200, &json!({"state": "pending"})),
    }
}

fn slow(upstream: &RawUpstream) -> AnalyticsPurge {
    driver_with(&upstream.url, Timeouts { way: WAY, ..PATIENT })
}

fn soon() -> Permit {
    permit_for(PERMIT)
}

#[tokio::test]
async fn a_connection_is_ready_before_the_permit_is_taken() {
    let upstream = upstream(well).await;
    let driver = slow(&upstream);
    for round in 0..2 {
        let ids = [Uuid::from_u128(round)];
        driver.ready(Lane::Submit).await.unwrap();
        driver.submit(&ids, soon()).await.result.unwrap();
        driver.ready(Lane::Query).await.unwrap();
        driver.facts(&ids, soon()).await.result.unwrap();
        driver.ready(Lane::Query).await.unwrap();
        driver.poll("j-1", soon()).await.result.unwrap();
    }
    let seen = upstream.seen();
    let submits: Vec<_> = seen.iter().filter(|seen| seen.line == PURGE).collect();
    assert_eq!(submits.len(), 2, "each was written once");
    assert!(submits.iter().all(|submit| submit.nth == 0), "each over a connection of its own");
    let lines = |line: &str| seen.iter().filter(|seen| seen.line == line).count();
    assert_eq!((lines(DETAILS), lines(POLL), seen.len()), (2, 2, 2 + 2 + 2 + 1), "nothing else was written");
}

/// As many connections as calls that are about to come: those that are said to be ready all are.
#[tokio::test]
async fn each_of_several_calls_finds_a_connection() {
    let upstream = upstream(well).await;
    let driver = slow(&upstream);
    for lane in [Lane::Submit, Lane::Query] {
        for _ in 0..2 {
            driver.ready(lane).await.unwrap();
        }
        let calls = (0..2).map(|round| {
            let driver = &driver;
            async move {
                match lane {
                    Lane::Submit => driver.submit(&[Uuid::from_u128(round)], soon()).await.result.map(drop),
                    Lane::Query => driver.poll("j-1", soon()).await.result.map(drop),
                }
            }
        });
        for result in futures_util::future::join_all(calls).await {
            result.unwrap();
        }
    }
}

#[tokio::test]
async fn a_connection_that_outlived_its_permit_is_there_for_the_next_call() {
    let upstream = upstream(well).await;
    let driver = slow(&upstream);
    driver.ready(Lane::Query).await.unwrap();
    let mut tries = 0;
    loop {
        tries += 1;
        match driver.submit(&[A], soon()).await.result {
            Ok(_) => break,
            Err(Failure::NotSent(detail)) => {
                assert!(detail.message.ends_with("the permit ended before the call could be written"));
            }
            Err(other) => panic!("{other:?}"),
        }
        assert!(tries < 10, "no connection is ever ready");
    }
    assert!(tries > 1);
    assert_eq!(upstream.seen_by(PURGE).len(), 1);
}

/// A connection is not used that was opened before the machine was suspended.
#[tokio::test]
async fn a_connection_that_waited_too_long_is_not_handed_out() {
    for (seconds, taken) in [(0, 0), (10, 1)] {
        let ahead = Arc::new(AtomicI64::new(0));
        let told = Arc::clone(&ahead);
        let clock: WallClock =
            Arc::new(move || wall_clock()() + SignedDuration::from_secs(told.load(Ordering::SeqCst)));
        let upstream = RawUpstream::start(well).await;
        let login = RawUpstream::start(|_| token_answer("t-0")).await;
        let settings = Settings { login_url: login.url.clone(), ..settings(&upstream.url) };
        let driver = AnalyticsPurge::with_timeouts(settings, clock, PATIENT).unwrap();
        driver.ready(Lane::Submit).await.unwrap();
        ahead.store(seconds, Ordering::SeqCst);
        driver.submit(&[A], permit()).await.result.unwrap();
        assert_eq!(upstream.seen()[0].connection, taken, "{seconds} s later");
    }
}

/// What can't be opened is found out, and told, by the call.
#[tokio::test]
async fn no_connection_is_no_reason_to_make_no_call() {
    let gone = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let login = RawUpstream::start(|_| token_answer("t-0")).await;
    let settings = Settings { login_url: login.url.clone(), ..settings(&format!("http://{gone}")) };
    let driver = AnalyticsPurge::with_timeouts(settings, wall_clock(), PATIENT).unwrap();
    for lane in [Lane::Submit, Lane::Query] {
        assert!(driver.ready(lane).await.is_ok());
    }
    let failure = driver.submit(&[A], permit()).await.result.unwrap_err();
    assert!(failure.to_string().contains("onnection refused"), "{failure}");
}
