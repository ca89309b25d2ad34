//! `progress`: how fast a purge goes, and an estimate only where there is one.

use genesys_purge::app::Role;
use genesys_purge::sandbox::Kind;
use serde_json::Value;
use uuid::Uuid;

use crate::support::{Setup, TestService};

/// A purge of a hundred that started an hour ago, of which 60 are final: 30 of them in the last minute.
async fn half_way() -> (TestService, Uuid) {
    let test = Setup::new().role(Role::Api).start().await;
    let ids: Vec<Uuid> = (1..=100).map(Uuid::from_u128).collect();
    let purge = test.purge(&ids).await;
    test.sql(
        "update purges
         set state = 'running', started_at = now() - interval '1 h', pending = 40, purged = 60,
             rate_from_at = now() - interval '1 min', rate_from_settled = 30, rate_at = now(), rate_settled = 60",
    )
    .await;
    (test, purge)
}

async fn progress(test: &TestService, purge: Uuid) -> (Option<f64>, Option<f64>) {
    let body = test.get(&format!("/purges/{purge}")).await;
    let progress = &body["progress"];
    let seconds = |text: &str| {
        let now = genesys_purge::app::World::machine().clock()();
        text.parse::<jiff::Timestamp>().unwrap().duration_since(now).as_secs_f64()
    };
    (progress["perMinute"].as_f64(), progress["estimatedFinishAt"].as_str().map(seconds))
}

#[tokio::test]
async fn the_rate_is_that_of_the_last_minutes_and_the_estimate_follows_it() {
    let (test, purge) = half_way().await;
    let (per_minute, left) = progress(&test, purge).await;
    assert!(
        (20.0..=30.0).contains(&per_minute.unwrap()),
        "not 1 a minute as since the start: {per_minute:?}"
    );
    assert!((70.0..=130.0).contains(&left.unwrap()), "{left:?}");
    // Nothing became final for a while: nothing can be said.
    test.sql("update purges set rate_from_settled = 60").await;
    assert_eq!(progress(&test, purge).await, (Some(0.0), None));
}

#[tokio::test]
async fn what_waits_or_has_not_begun_has_no_estimate() {
    for change in [
        "update purges set state = 'paused'",
        "update orgs set blocked_call = 'submit', blocked_code = 'x', blocked_detail = 'x', blocked_at = now(),
                         probe_at = now()",
        "update orgs set stopped_at = now(), stopped_by = 'x'",
    ] {
        let (test, purge) = half_way().await;
        assert!(progress(&test, purge).await.1.is_some());
        test.sql(change).await;
        let (per_minute, left) = progress(&test, purge).await;
        assert!(per_minute.is_some_and(|per_minute| per_minute > 0.0) && left.is_none(), "{change}: {left:?}");
    }
    let test = Setup::new().role(Role::Api).start().await;
    let purge = test.purge(&[Uuid::from_u128(7)]).await;
    assert_eq!(progress(&test, purge).await, (None, None), "it has not begun");
}

#[tokio::test]
async fn the_engine_writes_down_from_where_the_rate_is_measured() {
    let test = Setup::new().env("PURGE__ORGS__DEFAULT__MAX_BATCH", "2").start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..6]).await;
    let body = test.finished(purge).await;
    let from_start = "select count(*) from purges where rate_from_at = started_at and rate_from_settled = 0";
    assert_eq!(test.number(from_start).await, 1, "within the first minutes it is the start");
    let seconds = |from: &str, to: &str| {
        let at = |field: &str| body[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        at(to).duration_since(at(from)).as_secs_f64()
    };
    let expected = 6.0 / seconds("startedAt", "finishedAt") * 60.0;
    let told = body["progress"]["perMinute"].as_f64().unwrap();
    assert!((told - expected).abs() <= 0.06, "a final purge tells the rate of its whole: {told} {expected}");
    assert_eq!(body["progress"]["estimatedFinishAt"], Value::Null);
}
