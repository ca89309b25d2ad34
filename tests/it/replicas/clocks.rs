//! Clocks of replicas that differ: leases, limits and waits go by the database's alone.

use std::sync::Arc;

use genesys_purge::app::{Role, Service, World};
use genesys_purge::sandbox::Kind;
use jiff::SignedDuration;

use super::end_leases;
use crate::support::books::assert_books;
use crate::support::budget::assert_within_budget;
use crate::support::{Setup, TestService};

const PER_MINUTE: u32 = 600;

/// A worker whose clock is so far ahead of everybody else's.
async fn worker_ahead(test: &TestService, by: SignedDuration) -> Service {
    let right = World::machine();
    let clock = right.clock();
    let world = right.by_clock(Arc::new(move || clock() + by));
    Service::start(&test.settings, &world, &test.database.place(), Role::Worker).await.unwrap()
}

#[tokio::test]
async fn minutes_between_the_clocks_of_replicas_change_nothing() {
    // More than five minutes apart an org is blocked: ages could not be told.
    let apart = SignedDuration::from_mins(4);
    let test = Setup::new()
        .role(Role::Api)
        .sandbox(|settings| settings.requests_per_minute = PER_MINUTE)
        .env("PURGE__ORGS__DEFAULT__REQUESTS_PER_MINUTE", &PER_MINUTE.to_string())
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "3")
        .env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false")
        .start()
        .await;
    let workers = [worker_ahead(&test, apart).await, worker_ahead(&test, -apart).await];
    let ids = test.ids_of(Kind::Eligible);
    let mut purges = Vec::new();
    for ids in ids[..20].chunks(1) {
        purges.push(test.purge(ids).await);
    }
    for purge in purges {
        assert_eq!(test.finished(purge).await["counts"]["purged"], 1);
    }
    let off = "select count(*) from jobs where losses > 0 or attempt > 1
               or intended_at not between now() - interval '2 minutes' and now()
               or submitted_at not between now() - interval '2 minutes' and now()";
    assert_eq!(test.number(off).await, 0, "no lease was taken for ended, and every time is the database's");
    assert_within_budget(&test, PER_MINUTE);
    assert!(test.sandbox.sandbox().report(0, 1).jobs.most_live <= 3);
    test.assert_purged_once(&ids[..20]);
    for worker in workers {
        worker.stop().await;
    }
    // Nobody holds anything any more.
    assert_eq!(test.number("select count(*) from slices where lease_until is not null").await, 0);
    end_leases(&test).await;
    assert_books(&test).await;
}
