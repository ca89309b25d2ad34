//! The limits of an org hold for all processes that work on one database together.

use genesys_purge::app::{Role, Service, World};
use genesys_purge::sandbox::{Call, JobDuration, Kind};
use genesys_purge::upkeep;
use jiff::Timestamp;
use serde_json::json;

use crate::support::budget::{assert_within_budget, calls};
use crate::support::trouble::{endings, strikes};
use crate::support::{Setup, TestService};

/// One more process on the same database.
async fn second_worker(test: &TestService) -> Service {
    Service::start(&test.settings, &World::machine(), &test.database.place(), Role::Worker).await.unwrap()
}

#[tokio::test]
async fn two_processes_never_have_more_live_jobs_than_the_org_may_have() {
    let setup = Setup::new()
        .sandbox(|settings| {
            settings.max_concurrent_jobs = 2;
            settings.job_duration = JobDuration { base_ms: 100, jitter_ms: 150 };
        })
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "2")
        .env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false");
    let test = setup.start().await;
    let second = second_worker(&test).await;
    let ids = test.ids_of(Kind::Eligible);
    let mut purges = Vec::new();
    for ids in ids[..40].chunks(2) {
        purges.push(test.purge(ids).await);
    }
    for purge in purges {
        assert_eq!(test.finished(purge).await["counts"]["purged"], 2);
    }
    let figures = test.sandbox.sandbox().report(0, 2).jobs;
    assert_eq!((figures.jobs, figures.most_live), (20, 2), "both slots were used, and no third");
    assert_eq!(test.calls(Call::Submit, "429"), 0);
    test.assert_purged_once(&ids[..40]);
    second.stop().await;
}

#[tokio::test]
async fn two_processes_share_one_budget_of_calls() {
    const PER_MINUTE: u32 = 120;
    let setup = Setup::new()
        .sandbox(|settings| settings.requests_per_minute = PER_MINUTE)
        .env("PURGE__ORGS__DEFAULT__REQUESTS_PER_MINUTE", "120")
        .env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false");
    let test = setup.start().await;
    let second = second_worker(&test).await;
    let ids = test.ids_of(Kind::Eligible);
    let mut purges = Vec::new();
    for ids in ids[..15].chunks(1) {
        purges.push(test.purge(ids).await);
    }
    for purge in purges {
        assert_eq!(test.finished(purge).await["counts"]["purged"], 1);
    }
    let calls = calls(&test);
    assert!(calls.len() >= 31, "{}", calls.len());
    assert_within_budget(&test, PER_MINUTE);
    assert!(calls.last().unwrap().duration_since(calls[0]).as_secs_f64() > 10.0, "the budget was felt");
    test.assert_purged_once(&ids[..10]);
    second.stop().await;
}

#[tokio::test]
async fn a_retry_after_silences_every_process_and_every_kind_of_call() {
    let setup = Setup::new()
        .sandbox(|settings| settings.job_duration = JobDuration { base_ms: 400, jitter_ms: 400 })
        .env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false");
    let test = setup.start().await;
    let second = second_worker(&test).await;
    let ids = test.ids_of(Kind::Eligible);
    test.fault(json!({ "call": "poll", "after": 2, "times": 1, "fault": { "retryAfter": "3" } }));
    let mut purges = Vec::new();
    for ids in ids[..20].chunks(1) {
        purges.push(test.purge(ids).await);
    }
    for purge in purges {
        assert_eq!(test.finished(purge).await["counts"]["purged"], 1);
    }
    let log = test.sandbox.sandbox().report(usize::MAX, 1).last;
    let refused = log.iter().find(|entry| entry.status.to_string() == "429").unwrap().at;
    let since = |at: Timestamp| at.duration_since(refused).as_secs_f64();
    // What was on its way when the 429 came has a second to arrive.
    assert!(!log.iter().any(|entry| (1.0..3.0).contains(&since(entry.at))), "{log:#?}");
    assert!(log.iter().any(|entry| since(entry.at) >= 3.0));
    test.assert_purged_once(&ids[..20]);
    second.stop().await;
}

#[tokio::test]
async fn an_upstream_with_fewer_slots_than_configured_is_asked_again_later() {
    let setup = Setup::new()
        .sandbox(|settings| settings.max_concurrent_jobs = 1)
        .env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false")
        .env("PURGE__ENGINE__MAX_ATTEMPTS", "1");
    let test = setup.start().await;
    let ids = test.ids_of(Kind::Eligible);
    let mut purges = Vec::new();
    for ids in ids[..6].chunks(2) {
        purges.push(test.purge(ids).await);
    }
    for purge in purges {
        assert_eq!(test.finished(purge).await["state"], "completed");
        assert_eq!(test.endings(purge).await, endings([("purged gone", 2)]));
    }
    for id in &ids[..6] {
        let truth = test.sandbox.sandbox().conversation(*id).unwrap();
        assert_eq!(truth.jobs.len(), 1, "{truth:?}");
    }
}

#[tokio::test]
async fn a_question_larger_than_the_budget_at_hand_is_answered_piece_by_piece() {
    // Three calls, six seconds apart, are more than one claim of the work may take.
    let setup = Setup::new()
        .env("PURGE__ORGS__DEFAULT__REQUESTS_PER_MINUTE", "11")
        .env("PURGE__ORGS__DEFAULT__DETAILS_BATCH", "2")
        .env("PURGE__ENGINE__LEASE", "45s");
    let test = setup.start().await;
    let ids = &test.ids_of(Kind::Eligible)[..6];
    let purge = test.purge_with(json!({ "conversationIds": ids, "dryRun": true })).await;
    assert_eq!(test.finished(purge).await["counts"]["would_purge"], 6);
    let sizes: Vec<usize> = test.log(Call::Details).iter().map(|entry| entry.ids).collect();
    assert_eq!(sizes, [2, 2, 2], "nothing is asked twice");
}

#[tokio::test]
async fn a_poison_id_is_found_however_small_the_budget_is() {
    let setup = Setup::new()
        .env("PURGE__ORGS__DEFAULT__REQUESTS_PER_MINUTE", "11")
        .env("PURGE__ENGINE__LEASE", "45s");
    let test = setup.start().await;
    // The first id, and the halves that it is in, are refused until it stands alone.
    test.fault(strikes("details", 3, &json!({ "status": 400 })));
    let ids = &test.ids_of(Kind::Eligible)[..4];
    let purge = test.purge_with(json!({ "conversationIds": ids, "dryRun": true })).await;
    assert_eq!(test.finished(purge).await["state"], "failed");
    assert_eq!(test.endings(purge).await, endings([("failed bad.request", 1), ("would_purge eligible", 3)]));
    let sizes: Vec<usize> = test.log(Call::Details).iter().map(|entry| entry.ids).collect();
    assert!(sizes.len() <= 7, "three calls find it, and each other id takes one at most: {sizes:?}");
}

#[tokio::test]
async fn a_database_clock_that_was_ahead_silences_an_org_no_longer_than_its_longest_wait() {
    let test = Setup::new().role(Role::Api).second_org().start().await;
    // What was written while it was ahead, and what was written since.
    test.sql(
        "update limiters set arrival_at = now() + interval '10 hours', closed_until = now() + interval '10 hours'
         where org = 'default'",
    )
    .await;
    test.sql(
        "update limiters set arrival_at = now() + interval '30 seconds', closed_until = now() + interval '30 minutes'
         where org = 'eu'",
    )
    .await;
    test.sql(
        "update orgs set blocked_call = 'details', blocked_code = 'forbidden', blocked_detail = 'no rights',
         blocked_at = now(), probe_at = now() + interval '10 hours' where name = 'default'",
    )
    .await;
    let later = async |org: &str| {
        let closed_until = &test.get(&format!("/orgs/{org}")).await["closedUntil"];
        let until: Timestamp = closed_until.as_str().unwrap().parse().unwrap();
        until.duration_since(World::machine().clock()()).as_secs()
    };
    let others = later("eu").await;
    let store = test.store().await;
    upkeep::ahead::look(&store).await;
    assert!((3500..=3600).contains(&later("default").await), "as long as upstream can ask for");
    assert!((others - later("eu").await).abs() < 30, "what may be so stays");
    let ahead = "select extract(epoch from max(arrival_at) - now())::bigint from limiters where org = ";
    assert!((50..=62).contains(&test.number(&format!("{ahead} 'default'")).await));
    assert!(test.number(&format!("{ahead} 'eu'")).await <= 30);
    let probe = "select extract(epoch from probe_at - now())::bigint from orgs where name = 'default'";
    assert!((45..=60).contains(&test.number(probe).await));
    assert_eq!(store.bring_back_times().await.unwrap(), 0, "once is enough");
    store.close().await;
}
