//! An org with too many conflicting jobs: its work waits, says why, and continues after a job goes through as packed
//! or an operator resumes it.

use genesys_purge::sandbox::{Call, Kind, Shares};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::trouble::endings;
use crate::support::{Setup, TestService};

/// Purges of two conversations and one that is protected, each in a job of its own, until the org is blocked; and the ids
/// that are left.
async fn blocked() -> (TestService, Vec<Uuid>, Vec<Uuid>, Vec<Uuid>) {
    let test = Setup::new()
        .sandbox(|settings| {
            settings.shares = Shares { eligible: 0.7, conflict_named: 0.3, ..Shares::none() };
        })
        .env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false")
        .env("PURGE__ORGS__DEFAULT__MAX_CONFLICT_PERCENT", "50")
        .env("PURGE__ORGS__DEFAULT__CONFLICT_JOBS", "4")
        .start()
        .await;
    let (mut good, mut bad) = (test.ids_of(Kind::Eligible), test.ids_of(Kind::ConflictNamed));
    let mut purges = Vec::new();
    for number in 0..4 {
        assert_eq!(events(&test).await, (0, 0), "{number} are too few");
        purges.push(dirty(&test, &mut good, &mut bad).await);
        let conflicts = number + 1;
        test.wait_until("its job conflicts", async || test.calls(Call::Submit, "409") == conflicts).await;
    }
    test.wait_until("the org is blocked", async || events(&test).await == (1, 0)).await;
    (test, purges, good, bad)
}

/// A purge of two conversations and one that is protected.
async fn dirty(test: &TestService, good: &mut Vec<Uuid>, bad: &mut Vec<Uuid>) -> Uuid {
    test.purge(&[good.pop().unwrap(), bad.pop().unwrap(), good.pop().unwrap()]).await
}

/// How often the org was blocked, and freed again.
async fn events(test: &TestService) -> (i64, i64) {
    let blocked = test.number("select count(*) from events where type = 'org_blocked'").await;
    (blocked, test.number("select count(*) from events where type = 'org_unblocked'").await)
}

async fn all_completed(test: &TestService, purges: &[Uuid]) {
    for purge in purges {
        let body = test.finished(*purge).await;
        assert_eq!((&body["state"], &body["blockedReason"]), (&json!("completed"), &json!(null)), "{body}");
        let expected = endings([("purged gone", 2), ("on_hold upstream_conflict", 1)]);
        assert_eq!(test.endings(*purge).await, expected);
    }
    test.assert_no_breach();
}

#[tokio::test]
async fn too_many_conflicts_block_the_org_until_a_job_goes_through_as_it_was_packed() {
    let (test, mut purges, mut good, mut bad) = blocked().await;
    let waiting = dirty(&test, &mut good, &mut bad).await;
    let body = test.purge_when(waiting, |body: &Value| !body["blockedReason"].is_null()).await;
    assert_eq!(body["blockedReason"]["code"], "too_many_conflicts", "{body}");
    let detail = body["blockedReason"]["detail"].as_str().unwrap();
    assert!(detail.contains("of the last 4 jobs 4 were refused"), "{detail}");
    assert!(detail.contains("orgs.default.max_conflict_percent"), "it says what can be changed: {detail}");
    let org = test.get("/orgs/default").await;
    assert_eq!(org["blocked"]["call"], "conflicts", "{org}");

    // A try that conflicts is none that succeeds.
    let conflicts = test.calls(Call::Submit, "409");
    test.purge_when(waiting, |body| body["counts"]["eligible"] == 3).await;
    test.probe_now().await;
    test.wait_until("the try conflicts", async || test.calls(Call::Submit, "409") == conflicts + 1).await;
    let again = "select count(*) from orgs where probe_at > clock_timestamp() + interval '30 s'";
    test.wait_until("the block is renewed", async || test.number(again).await == 1).await;
    assert_eq!(events(&test).await, (1, 0));

    let clean = test.purge(&good[..3]).await;
    test.purge_when(clean, |body| body["counts"]["eligible"] == 3).await;
    test.go_on().await;
    assert_eq!(test.finished(clean).await["counts"]["purged"], 3);
    purges.push(waiting);
    all_completed(&test, &purges).await;
    assert_eq!(events(&test).await, (1, 1));
}

#[tokio::test]
async fn an_operator_lifts_the_block_and_what_was_before_counts_no_more() {
    let (test, mut purges, mut good, mut bad) = blocked().await;
    let answer = test.request(Method::POST, "/orgs/default/resume").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(events(&test).await, (1, 1));
    for _ in 0..3 {
        purges.push(dirty(&test, &mut good, &mut bad).await);
    }
    all_completed(&test, &purges).await;
    assert_eq!(events(&test).await, (1, 1), "three are too few");
    let by = "select count(*) from events where type = 'org_unblocked' and actor <> 'engine' and request_id is not null";
    assert_eq!(test.number(by).await, 1, "it says who did it");
}
