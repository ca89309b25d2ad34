//! `GET /orgs` and `GET /orgs/{org}`: limits, and the state of an org while work runs or waits.

use genesys_purge::app::{Role, Service, World};
use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::{Call, JobDuration, Kind};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::{all, keys};
use crate::support::problem::refused;
use crate::support::trouble::strikes;
use crate::support::{Setup, TestService};

fn at(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_else(|| panic!("no time: {value}")).parse().unwrap()
}

/// Calls other than those for tokens.
fn calls(test: &TestService) -> usize {
    [Call::Details, Call::Submit, Call::Poll].into_iter().map(|call| test.log(call).len()).sum()
}

#[tokio::test]
async fn an_idle_org_tells_its_limits_and_that_nothing_is_in_its_way() {
    let setup = Setup::new()
        .env("PURGE__ORGS__DEFAULT__MAX_BATCH", "70")
        .env("PURGE__ORGS__DEFAULT__DETAILS_BATCH", "80")
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "3");
    let test = setup.role(Role::Api).start().await;
    let expected = json!({
        "name": "default",
        "limits": {
            "maxBatch": 70, "detailsBatch": 80, "maxConcurrentJobs": 3, "requestsPerMinute": null,
            "allowedPerMinute": null,
        },
        "callsLastMinute": 0, "liveJobs": 0, "waitingJobs": 0, "openPurges": 0,
        "token": { "ageSeconds": null, "expiresInSeconds": null },
        "blocked": null, "stopped": null, "paused": null, "acts": [], "closedUntil": null,
    });
    assert_eq!(test.get("/orgs/default").await, expected);
    assert_eq!(test.get("/orgs").await, json!({ "items": [expected], "nextCursor": null }));
}

#[tokio::test]
async fn what_a_worker_does_is_told_by_a_process_that_only_takes_requests() {
    let setup = Setup::new()
        .sandbox(|organization| {
            organization.requests_per_minute = 250;
            organization.job_duration = JobDuration { base_ms: 1500, jitter_ms: 0 };
        })
        .env("PURGE__ORGS__DEFAULT__REQUESTS_PER_MINUTE", "300");
    let test = setup.role(Role::Api).start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..3]).await;
    let waiting = test.get("/orgs/default").await;
    assert_eq!((&waiting["openPurges"], &waiting["liveJobs"]), (&json!(1), &json!(0)), "{waiting}");

    let worker = Service::start(&test.settings, &World::machine(), &test.database.place(), Role::Worker)
        .await
        .unwrap();
    test.wait_until("a live job", async || test.calls(Call::Submit, "200") == 1).await;
    test.wait_until("the live job is told of", async || test.get("/orgs/default").await["liveJobs"] == 1)
        .await;
    test.finished(purge).await;
    let org = test.get("/orgs/default").await;
    assert_eq!(
        (&org["openPurges"], &org["liveJobs"], &org["waitingJobs"]),
        (&json!(0), &json!(0), &json!(0))
    );
    assert_eq!(org["callsLastMinute"], calls(&test), "each permit was used, and each call had one: {org}");
    assert!(calls(&test) >= 4);
    assert_eq!(org["limits"]["requestsPerMinute"], 300, "{org}");
    assert_eq!(org["limits"]["allowedPerMinute"], 250, "as upstream's headers told: {org}");
    let (age, left) = (&org["token"]["ageSeconds"], &org["token"]["expiresInSeconds"]);
    assert!((0..60).contains(&age.as_i64().unwrap()), "{org}");
    assert!((86_300..=86_400).contains(&left.as_i64().unwrap()), "{org}");

    // What was called more than a minute ago counts no more, and a token grows older.
    test.sql("update limiters set called_at = called_at - interval '61 s'").await;
    test.sql("update tokens set got_at = got_at - interval '1 h', expires_at = now() - interval '1 s'").await;
    let later = test.get("/orgs/default").await;
    assert_eq!(later["callsLastMinute"], 0, "{later}");
    assert!((3600..3660).contains(&later["token"]["ageSeconds"].as_i64().unwrap()), "{later}");
    assert_eq!(later["token"]["expiresInSeconds"], 0, "{later}");
    worker.stop().await;
}

#[tokio::test]
async fn an_org_without_a_limit_counts_its_calls_too() {
    let test = TestService::start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..3]).await;
    test.finished(purge).await;
    assert_eq!(test.get("/orgs/default").await["callsLastMinute"], calls(&test));
}

#[tokio::test]
async fn a_token_that_is_renewed_is_told_anew() {
    let test = TestService::start().await;
    let ids = test.ids_of(Kind::Eligible);
    let first = test.purge(&ids[..1]).await;
    test.finished(first).await;
    let told = async || test.get("/orgs/default").await["token"]["ageSeconds"].as_i64();
    test.wait_until("a token is told of", async || told().await.is_some()).await;
    test.sql("update tokens set got_at = got_at - interval '1 h'").await;
    assert!(told().await >= Some(3600));
    test.sandbox.sandbox().revoke_tokens();
    let second = test.purge(&ids[1..2]).await;
    test.finished(second).await;
    test.wait_until("the new token is told of", async || told().await < Some(60)).await;
}

#[tokio::test]
async fn a_blocked_org_tells_what_is_refused_and_when_it_tries_again() {
    let test = TestService::start().await;
    let scope = |scope: &str| test.sandbox.sandbox().patch_settings(json!({ "scope": scope })).unwrap();
    scope("analytics:readonly");
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..2]).await;
    let purged = test.purge_when(purge, |body| !body["blockedReason"].is_null()).await;
    let org = test.get("/orgs/default").await;
    let blocked = &org["blocked"];
    assert_eq!(keys(blocked), ["call", "code", "detail", "nextTryAt", "since"]);
    assert_eq!((&blocked["code"], &blocked["call"]), (&json!("forbidden"), &json!("details")), "{org}");
    assert_eq!(blocked["detail"], purged["blockedReason"]["detail"]);
    let (since, next) = (at(&blocked["since"]), at(&blocked["nextTryAt"]));
    assert!((50..=60).contains(&next.duration_since(since).as_secs()), "{org}");
    assert_eq!(org["stopped"], Value::Null);

    scope("analytics:conversation:delete");
    test.sandbox.sandbox().revoke_tokens();
    // The first try finds out that the token is no good any more, and only the next has another.
    test.wait_until("the purge goes on", async || {
        test.probe_now().await;
        test.get(&format!("/purges/{purge}")).await["blockedReason"].is_null()
    })
    .await;
    test.finished(purge).await;
    assert_eq!(test.get("/orgs/default").await["blocked"], Value::Null);
}

#[tokio::test]
async fn a_throttled_org_tells_until_when_it_is_silent_and_which_jobs_wait() {
    let test = TestService::start().await;
    test.fault(strikes("submit", 1, &json!({ "retryAfter": "40" })));
    test.purge(&test.ids_of(Kind::Eligible)[..2]).await;
    test.wait_until("a submit was refused", async || test.calls(Call::Submit, "429") == 1).await;
    test.wait_until("the org is silent", async || !test.get("/orgs/default").await["closedUntil"].is_null())
        .await;
    let org = test.get("/orgs/default").await;
    let left = at(&org["closedUntil"]).duration_since(World::machine().clock()()).as_secs();
    assert!((20..=40).contains(&left), "{left}: {org}");
    test.wait_until("the job waits", async || test.get("/orgs/default").await["waitingJobs"] == 1).await;
    let org = test.get("/orgs/default").await;
    assert_eq!((&org["liveJobs"], &org["openPurges"]), (&json!(0), &json!(1)), "{org}");
}

#[tokio::test]
async fn a_stopped_org_tells_who_stopped_it() {
    let test = Setup::new().role(Role::Api).start().await;
    test.sql(
        "update orgs set stopped_at = '2026-01-02T03:04:05Z', stopped_by = 'ops', stopped_reason = 'audit'",
    )
    .await;
    let org = test.get("/orgs/default").await;
    let expected =
        json!({ "code": "org_stopped", "by": "ops", "reason": "audit", "since": "2026-01-02T03:04:05Z" });
    assert_eq!(org["stopped"], expected);
}

#[tokio::test]
async fn a_key_sees_the_configured_orgs_that_it_reaches_and_no_others() {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    // An org of another configuration on the same database.
    test.sql("insert into orgs (name, policy) values ('old', '{}')").await;
    test.sql("insert into limiters (org) values ('old')").await;
    let names = |pages: &[Vec<Value>]| -> Vec<String> {
        pages.iter().flatten().map(|org| org["name"].as_str().unwrap().to_owned()).collect()
    };
    for limit in [1, 2, 1000] {
        assert_eq!(names(&all(&test, &format!("/orgs?limit={limit}")).await), ["default", "eu"], "{limit}");
    }
    let eu = test.make_key(&[Scope::PurgesRead], Some(&["eu", "old"])).await;
    let listed: Value =
        test.request_as(&eu, Method::GET, "/orgs").send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["items"], json!([test.get("/orgs/eu").await]));
    for path in ["/orgs/default", "/orgs/old", "/orgs/nowhere", "/orgs/%00", "/orgs/EU"] {
        refused(test.request_as(&eu, Method::GET, path), 404, "not_found").await;
    }
    assert_eq!(test.get("/orgs/default").await["name"], "default");
}
