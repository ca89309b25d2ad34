//! What a database that went back in time does to jobs, step by step on the store. Its ground is a view, which stands in for
//! another server here; `rewind/` does it with real ones.

use std::time::Duration;

use genesys_purge::domain::facts::Presence;
use genesys_purge::domain::retention::{Policy, UnknownAge};
use genesys_purge::domain::rewind::{Promotion, Rewind};
use genesys_purge::store::StoreError;
use genesys_purge::store::jobs::intend::Intended;
use genesys_purge::store::jobs::pack::Packed;
use genesys_purge::store::jobs::submitted::Refusal;
use genesys_purge::store::orgs::enroll::Enroller;
use genesys_purge::store::slices::claim::Reach;
use serde_json::json;

use super::races::{Lane, own_time};
use super::sweeping::{self, ids};
use crate::support::TestService;

/// Nobody else looks where the database stands, and whatever was forgotten has a window that lasts longer than the test.
async fn lane() -> (TestService, Lane) {
    let (mut test, mut lane) = sweeping::lane().await;
    test.stop_service().await;
    lane.terms.ambiguity_grace = Duration::from_hours(1);
    (test, lane)
}

/// From now on the database stands elsewhere.
async fn move_ground(test: &TestService, system: i64) {
    let ground = format!(
        "create or replace view ground as
         select {system}::bigint as system, 1::bigint as timeline, {}::bigint as position",
        i64::MAX
    );
    test.sql(&ground).await;
}

#[tokio::test]
async fn on_other_ground_no_intent_is_committed_even_before_anybody_has_looked() {
    let (test, lane) = lane().await;
    lane.packed(&ids(1..3)).await;
    move_ground(&test, 7).await;
    let intended = lane.engine.intend(&lane.org, &lane.terms, own_time()).await.unwrap();
    assert!(matches!(intended, Intended::Nothing), "{intended:?}");
    assert_eq!(test.number("select count(*) from orgs where stopped_at is not null").await, 0);
}

#[tokio::test]
async fn jobs_keep_what_upstream_told_and_are_in_doubt_where_it_told_nothing() {
    let (test, lane) = lane().await;
    lane.submitted(&ids(1..3)).await;
    lane.packed(&ids(3..5)).await;
    let intended = lane.engine.intend(&lane.org, &lane.terms, own_time()).await.unwrap();
    let Intended::Intent(intent) = intended else { panic!("nothing stands against it: {intended:?}") };
    lane.packed(&ids(5..7)).await;
    let epochs = "select sum(policy_epoch)::bigint from orgs";
    let before = test.number(epochs).await;

    move_ground(&test, 7).await;
    let rewound = lane.engine.check_ground(Promotion::Check, &lane.terms).await.unwrap().unwrap();
    assert_eq!(rewound.kind, Rewind::OtherServer);
    assert!(rewound.stopped.contains(&lane.org.name), "{rewound:?}");
    for (state, is_so) in [
        ("submitted", "upstream_job_id is not null and lost_since is null"),
        ("in_doubt", "losses = 1 and lost_since is not null and run_at > now() and lease_until is null"),
        ("waiting", "run_at > now()"),
    ] {
        let sql =
            format!("select count(*) from jobs where state = '{state}' and {is_so} and epoch >= 1000000");
        assert_eq!(test.number(&sql).await, 1, "{state}");
    }
    let orgs = "select count(*) from orgs where rewound_at is not null and intents_from > now()";
    assert_eq!(test.number(epochs).await - before, test.number(orgs).await, "all facts are asked again");

    let (again, error) = (Refusal::Again(Duration::ZERO), json!({}));
    let late = lane.engine.record_refused(&lane.org.name, intent.lease, &again, &error).await;
    assert!(
        matches!(late, Err(StoreError::LeaseLost { .. })),
        "a lease from before counts no more: {late:?}"
    );
    // Another process finds the same, and tells nobody again.
    let again = lane.steering.check_ground(Promotion::Check, &lane.terms).await.unwrap().unwrap();
    assert_eq!(again.stopped, Vec::<String>::new());
    assert_eq!(lane.steering.check_ground(Promotion::Check, &lane.terms).await.unwrap(), None);
    assert_eq!(test.number("select count(*) from rewinds").await, 1);

    lane.due(&test).await;
    let intended = lane.engine.intend(&lane.org, &lane.terms, own_time()).await.unwrap();
    assert!(matches!(intended, Intended::Nothing), "it is stopped: {intended:?}");
    test.sql(
        "update orgs set stopped_at = null, stopped_by = null, stopped_reason = null, rewound_at = null",
    )
    .await;
    let intended = lane.engine.intend(&lane.org, &lane.terms, own_time()).await.unwrap();
    assert!(matches!(intended, Intended::Nothing), "what was forgotten has its window: {intended:?}");
    test.sql("update orgs set intents_from = now()").await;
    let intended = lane.engine.intend(&lane.org, &lane.terms, own_time()).await.unwrap();
    assert!(matches!(intended, Intended::Changed), "its facts are too old: {intended:?}");
}

const RULES: Policy = Policy { default_days: 365, unknown_age: UnknownAge::Retain };

/// How often it was told that the database went back, to those who follow an org.
async fn told(test: &TestService, org: &str) -> i64 {
    let events = format!("select count(*) from events where type = 'database_rewound' and org = '{org}'");
    test.number(&events).await
}

#[tokio::test]
async fn a_second_rewind_is_told_anew_and_what_the_first_lost_is_not_forgotten() {
    let (test, lane) = lane().await;
    lane.packed(&ids(1..3)).await;
    test.sql("update database_history set noted_at = '2026-01-02T03:04:05Z'").await;
    move_ground(&test, 7).await;
    lane.engine.check_ground(Promotion::Check, &lane.terms).await.unwrap().unwrap();
    test.sql("update orgs set intents_from = now(), stopped_reason = 'the first'").await;
    let epochs = "select sum(epoch)::bigint from jobs where state <> 'done'";
    let before = test.number(epochs).await;

    move_ground(&test, 8).await;
    let again = lane.engine.check_ground(Promotion::Check, &lane.terms).await.unwrap().unwrap();
    assert!(again.stopped.contains(&lane.org.name), "{again:?}");
    assert_eq!(told(&test, &lane.org.name).await, 2);
    assert_eq!(test.number("select count(*) from rewinds").await, 2);
    assert!(test.number(epochs).await >= before + 1_000_000, "what was leased in the time that is missing");
    let since_the_first = format!(
        "select count(*) from orgs
         where name = '{}' and intents_from > now() and stopped_reason like '%2026-01-02T03:04:05Z%'",
        lane.org.name
    );
    assert_eq!(test.number(&since_the_first).await, 1, "it was not resumed since");
    // Another process finds the same.
    let same = lane.steering.check_ground(Promotion::Check, &lane.terms).await.unwrap().unwrap();
    assert_eq!(same.stopped, Vec::<String>::new());
    assert_eq!(told(&test, &lane.org.name).await, 2);
}

#[tokio::test]
async fn an_org_that_is_new_after_a_rewind_is_stopped_as_long_as_others_are() {
    let (test, lane) = lane().await;
    let enroll = async |org: &str| {
        lane.engine.enroll_org(org, &RULES, Enroller::Worker).await.unwrap();
    };
    enroll("early").await;
    move_ground(&test, 7).await;
    lane.engine.check_ground(Promotion::Check, &lane.terms).await.unwrap().unwrap();
    enroll("later").await;
    lane.engine.know_org("known", &RULES).await.unwrap();
    for org in ["early", "later", "known"] {
        let stopped = format!(
            "select count(*) from orgs where name = '{org}' and rewound_at is not null and stopped_by = 'engine'
             and stopped_reason like '%make the holds%' and intents_from > now()"
        );
        assert_eq!(test.number(&stopped).await, 1, "{org}");
        assert_eq!(told(&test, org).await, 1, "{org}");
    }
    // Who comes back is not new.
    test.sql("update orgs set stopped_at = null, stopped_by = null, stopped_reason = null, rewound_at = null where name = 'later'").await;
    enroll("later").await;
    test.sql(
        "update orgs set stopped_at = null, stopped_by = null, stopped_reason = null, rewound_at = null",
    )
    .await;
    enroll("last").await;
    assert_eq!(test.number("select count(*) from orgs where stopped_at is not null").await, 0);
}

#[tokio::test]
async fn what_was_asked_while_a_forgotten_submit_may_be_at_work_is_asked_again() {
    let (test, lane) = lane().await;
    move_ground(&test, 7).await;
    lane.engine.check_ground(Promotion::Check, &lane.terms).await.unwrap().unwrap();
    // Somebody resumes the org at once.
    test.sql(
        "update orgs set stopped_at = null, stopped_by = null, stopped_reason = null, rewound_at = null",
    )
    .await;
    lane.eligible(&ids(1..3)).await;
    test.sql("update orgs set intents_from = now()").await;
    assert_eq!(lane.engine.pack(&lane.org).await.unwrap(), Packed::Job(2));
    let intended = lane.engine.intend(&lane.org, &lane.terms, own_time()).await.unwrap();
    assert!(matches!(intended, Intended::Changed), "they were there before it ended: {intended:?}");
    lane.answer_all(Reach::ForSlots, Presence::Present).await;
    assert_eq!(lane.engine.pack(&lane.org).await.unwrap(), Packed::Job(2));
    lane.submit().await;
}

/// Rules that were made stricter in the time that is missing are not loose again, however long this process runs on.
#[tokio::test]
async fn a_running_service_brings_its_orgs_and_rules_back() {
    let test = TestService::start().await;
    let days = "select (policy->>'defaultDays')::bigint from orgs where name = 'default'";
    let configured = test.number(days).await;
    test.sql("update orgs set policy = jsonb_set(policy, '{defaultDays}', '1') where name = 'default'").await;
    move_ground(&test, 7).await;
    test.wait_until("its rules are in force", async || test.number(days).await == configured).await;
}
