//! An upstream that refuses the org: its work waits, the reason names the missing permission, nothing fails, nothing
//! is lost.

use std::time::{Duration, Instant};

use genesys_purge::sandbox::{Call, Kind};
use serde_json::{Value, json};

use crate::support::trouble::{endings, strikes};
use crate::support::{Setup, TestService};

const SCOPE: &str = "analytics:conversation:delete";

fn strict() -> Setup {
    Setup::new().env("PURGE__ENGINE__MAX_ATTEMPTS", "1")
}

fn grant(test: &TestService, scope: &str) {
    test.sandbox.sandbox().patch_settings(json!({ "scope": scope })).unwrap();
}

fn is_blocked(body: &Value) -> bool {
    !body["blockedReason"].is_null()
}

/// How often the org was blocked, and freed again.
async fn block_events(test: &TestService) -> (i64, i64) {
    let blocked = test.number("select count(*) from events where type = 'org_blocked'").await;
    (blocked, test.number("select count(*) from events where type = 'org_unblocked'").await)
}

#[tokio::test]
async fn without_the_scope_work_waits_says_what_is_missing_and_goes_on_once_it_is_granted() {
    let test = strict().start().await;
    grant(&test, "analytics:readonly");
    let ids = &test.ids_of(Kind::Eligible)[..5];
    let purge = test.purge(ids).await;

    let body = test.purge_when(purge, is_blocked).await;
    assert_eq!(body["blockedReason"]["code"], "forbidden", "{body}");
    let detail = body["blockedReason"]["detail"].as_str().unwrap();
    assert!(detail.contains("403") && detail.contains(SCOPE), "{detail}");
    assert!(detail.contains("analytics:readonly"), "it names the scopes that are there: {detail}");
    assert_eq!(body["counts"]["pending"], 5, "nothing fails: {body}");

    // It is recorded last that the questions wait for the next try: one that is let through before is taken back.
    let waiting =
        "select count(*) from slices where state = 'queued' and run_at > clock_timestamp() + interval '30 s'";
    let is_recorded = async || test.number(waiting).await == 1;
    test.wait_until("the refusal is recorded", is_recorded).await;
    // A try that is refused again changes nothing.
    test.probe_now().await;
    test.wait_until("a second refusal", async || test.calls(Call::Details, "403") >= 2).await;
    test.wait_until("the second refusal is recorded", is_recorded).await;
    assert_eq!(test.get(&format!("/purges/{purge}")).await["counts"]["pending"], 5);

    grant(&test, SCOPE);
    test.sandbox.sandbox().revoke_tokens();
    test.go_on().await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["blockedReason"]), (&json!("completed"), &json!(null)), "{body}");
    assert_eq!(block_events(&test).await, (1, 1));
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn a_blocked_org_lets_one_intent_through_a_minute_and_holds_up_no_live_job() {
    let setup = strict()
        .env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false")
        .sandbox(|settings| settings.job_duration.base_ms = 600);
    let test = setup.start().await;
    let ids = test.ids_of(Kind::Eligible);
    let live = test.purge(&ids[..3]).await;
    test.wait_until("a live job", async || test.calls(Call::Submit, "200") == 1).await;
    test.fault(json!({ "call": "submit", "fault": { "status": 403, "body": json!({
        "code": "missing.permissions", "message": "Missing.",
        "messageParams": { "permissions": "analytics:conversation:purge" },
    }).to_string() } }));
    let mut waiting = Vec::new();
    for ids in ids[10..14].chunks(1) {
        waiting.push(test.purge(ids).await);
    }
    let body = test.purge_when(waiting[0], is_blocked).await;
    let detail = body["blockedReason"]["detail"].as_str().unwrap();
    assert!(detail.contains("analytics:conversation:purge"), "{detail}");

    assert_eq!(test.finished(live).await["state"], "completed", "polled and verified while blocked");
    let refused = test.calls(Call::Submit, "403");
    assert!((1..=4).contains(&refused), "those that were on their way: {refused}");
    // A try that is let through before the last refusal is recorded is taken back by it.
    let mut let_through = 0;
    for tries in 1..=2 {
        while test.calls(Call::Submit, "403") < refused + tries {
            assert!(let_through < 30, "no try came");
            test.probe_now().await;
            let_through += 1;
            let deadline = Instant::now() + Duration::from_secs(2);
            while test.calls(Call::Submit, "403") < refused + tries && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    assert!(test.calls(Call::Submit, "403") <= refused + let_through, "one a try");

    test.sandbox.sandbox().clear_faults();
    test.go_on().await;
    for purge in waiting {
        let body = test.finished(purge).await;
        assert_eq!(body["state"], "completed", "{body}");
    }
    assert_eq!(test.number("select count(*) from decisions where to_outcome = 9").await, 0, "nothing failed");
    test.assert_purged_once(&[&ids[..3], &ids[10..14]].concat());
}

#[tokio::test]
async fn tokens_that_are_always_refused_block_the_org_after_one_renewal() {
    for name in ["details", "submit", "poll"] {
        let test = strict().start().await;
        test.fault(json!({ "call": name, "fault": { "status": 401 } }));
        let ids = &test.ids_of(Kind::Eligible)[..2];
        let purge = test.purge(ids).await;

        let body = test.purge_when(purge, is_blocked).await;
        assert_eq!(body["blockedReason"]["code"], "forbidden", "{name}: {body}");
        assert_eq!(body["counts"]["failed"], 0, "{name}: {body}");
        let tokens = test.log(Call::Token).len();
        assert!(tokens <= 3, "{name}: {tokens} tokens were asked for");

        test.sandbox.sandbox().clear_faults();
        test.go_on().await;
        let body = test.finished(purge).await;
        assert_eq!(
            (&body["state"], &body["blockedReason"]),
            (&json!("completed"), &json!(null)),
            "{name}: {body}"
        );
        assert_eq!(test.calls(Call::Submit, "200"), 1, "{name}");
        test.assert_purged_once(ids);
        test.end().await;
    }
}

#[tokio::test]
async fn a_login_that_refuses_the_client_blocks_the_org_and_names_the_client() {
    for status in [400, 401, 403] {
        let test = strict().start().await;
        test.fault(json!({ "call": "token", "fault": { "status": status } }));
        let ids = &test.ids_of(Kind::Eligible)[..2];
        let purge = test.purge(ids).await;

        let body = test.purge_when(purge, is_blocked).await;
        let detail = body["blockedReason"]["detail"].as_str().unwrap();
        assert!(detail.contains("sandbox-client") && !detail.contains("sandbox-secret"), "{detail}");
        assert_eq!(body["counts"]["pending"], 2, "{status}: {body}");
        assert!(test.log(Call::Token).len() <= 2, "{status}");

        test.sandbox.sandbox().clear_faults();
        test.go_on().await;
        let body = test.finished(purge).await;
        assert_eq!((&body["state"], &body["blockedReason"]), (&json!("completed"), &json!(null)), "{body}");
        test.assert_purged_once(ids);
        test.end().await;
    }
}

#[tokio::test]
async fn a_question_that_upstream_does_not_know_blocks_the_org_and_fails_nobody() {
    for status in [404, 405, 409, 501] {
        let test = strict().start().await;
        test.fault(strikes("details", 1, &json!({ "status": status })));
        let ids = &test.ids_of(Kind::Eligible)[..2];
        let purge = test.purge(ids).await;
        let body = test.purge_when(purge, is_blocked).await;
        assert_eq!(body["blockedReason"]["code"], "details_refused", "{status}: {body}");
        test.probe_now().await;
        assert_eq!(test.finished(purge).await["state"], "completed", "{status}");
        assert_eq!(test.endings(purge).await, endings([("purged gone", 2)]), "{status}");
        test.assert_purged_once(ids);
        test.end().await;
    }
}

#[tokio::test]
async fn a_submit_that_upstream_does_not_know_blocks_the_org_and_fails_nobody() {
    for status in [404, 405, 501] {
        let test = strict().start().await;
        test.fault(json!({ "call": "submit", "fault": { "status": status } }));
        let ids = &test.ids_of(Kind::Eligible)[..3];
        let purge = test.purge(ids).await;
        let body = test.purge_when(purge, is_blocked).await;
        assert_eq!(body["blockedReason"]["code"], "wrong_upstream", "{status}: {body}");
        let detail = body["blockedReason"]["detail"].as_str().unwrap();
        assert!(detail.contains(&status.to_string()), "{detail}");
        assert!(detail.contains("orgs.default.base_url"), "it says what to check: {detail}");
        assert_eq!(
            (&body["counts"]["failed"], &body["counts"]["eligible"]),
            (&json!(0), &json!(3)),
            "{body}"
        );

        // A try that is refused again changes nothing.
        test.probe_now().await;
        test.wait_until("a second refusal", async || test.calls(Call::Submit, &status.to_string()) == 2)
            .await;
        test.sandbox.sandbox().clear_faults();
        test.go_on().await;
        let body = test.finished(purge).await;
        assert_eq!((&body["state"], &body["blockedReason"]), (&json!("completed"), &json!(null)), "{body}");
        assert_eq!(test.endings(purge).await, endings([("purged gone", 3)]), "{status}");
        test.assert_purged_once(ids);
        test.end().await;
    }
}

#[tokio::test]
async fn clocks_that_disagree_block_the_org_until_they_agree() {
    let test = strict().sandbox(|settings| settings.job_duration.base_ms = 1000).start().await;
    let ids = test.ids_of(Kind::Eligible);
    let live = test.purge(&ids[..3]).await;
    test.wait_until("a live job", async || test.calls(Call::Submit, "200") == 1).await;
    test.sandbox.sandbox().patch_settings(json!({ "dateSkewMs": -600_000 })).unwrap();
    let purge = test.purge(&ids[10..13]).await;

    let body = test.purge_when(purge, is_blocked).await;
    assert_eq!(body["blockedReason"]["code"], "clock_skew", "{body}");
    assert_eq!(test.finished(live).await["state"], "completed");
    // The details calls of the live job's verification succeed all the same: they say nothing about clocks.
    let body = test.get(&format!("/purges/{purge}")).await;
    assert_eq!(body["blockedReason"]["code"], "clock_skew", "{body}");
    test.probe_now().await;
    test.wait_until("a second question", async || {
        test.number("select count(*) from slices where tries > 1").await == 1
    })
    .await;
    assert_eq!(block_events(&test).await, (1, 0));
    test.assert_untouched(&ids[10..13]);

    test.sandbox.sandbox().patch_settings(json!({ "dateSkewMs": 0 })).unwrap();
    test.probe_now().await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["blockedReason"]), (&json!("completed"), &json!(null)), "{body}");
    assert_eq!(block_events(&test).await, (1, 1));
    test.assert_purged_once(&ids[10..13]);
}

#[tokio::test]
async fn a_login_that_fails_is_told_by_purge_and_org_and_forgotten_with_the_next_token() {
    let test = Setup::new().start().await;
    test.fault(json!({ "call": "token", "fault": { "status": 503 } }));
    let ids = &test.ids_of(Kind::Eligible)[..2];
    test.sandbox.sandbox().revoke_tokens();
    let purge = test.purge(ids).await;
    let waits = test.purge_when(purge, |body| body["blockedReason"]["code"] == "no_token").await;
    let detail = waits["blockedReason"]["detail"].as_str().unwrap();
    assert!(detail.contains("503"), "{waits}");
    let org = test.get("/orgs/default").await;
    assert_eq!(
        (&org["blocked"]["code"], &org["blocked"]["call"]),
        (&json!("no_token"), &json!("token")),
        "{org}"
    );

    test.sandbox.sandbox().clear_faults();
    assert_eq!(test.finished(purge).await["counts"]["purged"], 2);
    assert_eq!(test.get("/orgs/default").await["blocked"], json!(null));
    assert!(test.log(Call::Token).len() < 12, "a failed login is shared and waited after");
    test.assert_purged_once(ids);
}
