//! What a database that went back in time does to jobs, step by step on the store. Its ground is a view, which stands in for
//! another server here; `rewind/` does it with real ones.

use std::time::Duration;

use genesys_purge::domain::rewind::{Promotion, Rewind};
use genesys_purge::store::StoreError;
use genesys_purge::store::jobs::intend::Intended;
use genesys_purge::store::jobs::submitted::Refusal;
use serde_json::json;

use super::races::own_time;
use super::sweeping::{ids, lane};
use crate::support::TestService;

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
