//! The limits of an org hold exactly, whatever happens to the processes.

use std::time::Duration;

use genesys_purge::sandbox::{Call, JobDuration, Kind};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::Instant;

use super::end_leases;
use crate::support::books::{all_final, assert_books};
use crate::support::budget::{assert_within_budget, calls, most_in_a_minute};
use crate::support::process::Serving;
use crate::support::{Setup, TestService};

const REPLICAS: usize = 3;
const SLOTS: u32 = 4;
const PER_MINUTE: u32 = 600;

/// An org with limits, and no process yet. Each purge is a job of its own.
async fn org(conversations: u32) -> TestService {
    let setup = Setup::new()
        .sandbox(|settings| {
            settings.conversations = conversations;
            settings.requests_per_minute = PER_MINUTE;
            settings.max_concurrent_jobs = SLOTS;
            settings.job_duration = JobDuration { base_ms: 1500, jitter_ms: 500 };
        })
        .env("PURGE__ORGS__DEFAULT__REQUESTS_PER_MINUTE", &PER_MINUTE.to_string())
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", &SLOTS.to_string())
        .env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false");
    let mut test = setup.start().await;
    test.stop_service().await;
    test
}

async fn replicas(test: &mut TestService) -> Vec<Serving> {
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        replicas.push(Serving::start(test.serve(&[])).await);
    }
    test.url.clone_from(&replicas[0].url);
    replicas
}

/// Every process has logged in once, and once more after its token was revoked under it.
fn logins(test: &TestService) -> u64 {
    test.calls(Call::Token, "200")
}

/// So many purges go through while replicas are killed and started again, one each two seconds.
async fn keep_the_limits(purges: usize) {
    let mut test = org(u32::try_from(purges).unwrap()).await;
    let mut replicas = replicas(&mut test).await;
    let mut started = REPLICAS as u64;
    let ids = test.ids_of(Kind::Eligible);
    for id in &ids {
        test.purge(&[*id]).await;
    }
    let open = "select count(*) from purges where finished_at is null";
    let (mut round, mut revoked) = (0, 0);
    while test.number(open).await > i64::try_from(purges / 4).unwrap() {
        tokio::time::sleep(Duration::from_secs(2)).await;
        if round == 1 {
            test.sandbox.sandbox().revoke_tokens();
            revoked = REPLICAS as u64;
        }
        // One in three goes in good order. The first replica answers the test.
        let (signal, code) =
            if round % 3 == 2 { (Signal::SIGTERM, Some(0)) } else { (Signal::SIGKILL, None) };
        let gone = replicas.remove(1 + round % 2);
        assert_eq!(gone.end(signal).await, code);
        replicas.push(Serving::start(test.serve(&[])).await);
        started += 1;
        round += 1;
    }
    assert!(round >= 2, "{round} were killed");
    end_leases(&test).await;
    all_final(&test).await;
    let figures = test.sandbox.sandbox().report(0, 1).jobs;
    assert_eq!(figures.most_live, SLOTS as usize, "all slots were used, and no more");
    assert_within_budget(&test, PER_MINUTE);
    assert!(logins(&test) <= started + revoked, "{} logins of {started} processes", logins(&test));
    println!(
        "{} calls, {} within any minute of {PER_MINUTE}, {} jobs live at most of {SLOTS}, {} logins of {started} processes",
        calls(&test).len(),
        most_in_a_minute(&test),
        figures.most_live,
        logins(&test)
    );
    test.assert_purged_once(&ids);
    assert_books(&test).await;
    for replica in replicas {
        assert_eq!(replica.end(Signal::SIGTERM).await, Some(0));
    }
}

#[tokio::test]
async fn replicas_that_come_and_go_keep_the_limits_of_one_org_together() {
    keep_the_limits(30).await;
}

#[tokio::test]
#[ignore = "it takes as long as several whole minutes of calls: run it by itself, with --ignored"]
async fn replicas_that_come_and_go_keep_the_limits_for_minutes() {
    keep_the_limits(400).await;
}

#[tokio::test]
async fn a_retry_after_that_one_hears_is_obeyed_by_all_and_by_those_who_start_meanwhile() {
    const SILENCE: f64 = 4.0;
    let mut test = org(40).await;
    let mut replicas = replicas(&mut test).await;
    let ids = test.ids_of(Kind::Eligible);
    test.fault(json!({ "call": "poll", "after": 2, "times": 1, "fault": { "retryAfter": "4" } }));
    for id in &ids[..20] {
        test.purge(&[*id]).await;
    }
    let closed =
        "select count(*) from limiters where closed_until > clock_timestamp() + interval '2 seconds'";
    test.wait_until("the silence is on record", async || test.number(closed).await == 1).await;
    for _ in 1..REPLICAS {
        assert_eq!(replicas.remove(1).end(Signal::SIGKILL).await, None);
        replicas.push(Serving::start(test.serve(&[])).await);
    }
    let begun = Instant::now();
    end_leases(&test).await;
    all_final(&test).await;
    let log = test.sandbox.sandbox().report(usize::MAX, 1).last;
    let refused = log.iter().find(|entry| entry.status.to_string() == "429").unwrap().at;
    let since = |at: &Timestamp| at.duration_since(refused).as_secs_f64();
    // What was on its way when the 429 came has a second to arrive.
    let calls = calls(&test);
    assert!(!calls.iter().any(|at| (1.0..SILENCE).contains(&since(at))), "{log:#?}");
    assert!(calls.iter().any(|at| since(at) >= SILENCE), "{:?}", begun.elapsed());
    test.assert_purged_once(&ids[..20]);
    for replica in replicas {
        assert_eq!(replica.end(Signal::SIGTERM).await, Some(0));
    }
}
