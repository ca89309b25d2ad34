//! `engine.paused`: purges are accepted, no work starts, and upstream jobs are followed to their end.

use genesys_purge::sandbox::{Call, JobDuration, Kind};

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Setup;
use crate::support::service::read;

#[tokio::test]
async fn a_paused_engine_accepts_begins_nothing_and_goes_on_when_it_is_no_longer_paused() {
    let mut test = Setup::new().env("PURGE__ENGINE__PAUSED", "true").start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..3]).await;
    let body = test.get(&format!("/purges/{purge}?wait=2")).await;
    assert_eq!(body["state"], "queued", "{body}");
    assert_eq!(test.calls(Call::Details, "200") + test.calls(Call::Submit, "200"), 0);

    test.stop_service().await;
    test.settings.engine.paused = false;
    test.start_service().await;
    assert_eq!(test.finished(purge).await["counts"]["purged"], 3);
}

#[tokio::test]
async fn a_paused_engine_follows_what_runs_upstream_to_its_end() {
    let long = JobDuration { base_ms: 1500, jitter_ms: 0 };
    let mut test = Setup::new().sandbox(|sandbox| sandbox.job_duration = long).start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..3]).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while test.get(&format!("/purges/{purge}")).await["counts"]["submitted"] != 3 {
        assert!(tokio::time::Instant::now() < deadline, "nothing was submitted");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }

    test.stop_service().await;
    test.settings.engine.paused = true;
    test.start_service().await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["counts"]["purged"]), (&"completed".into(), &3.into()), "{body}");
    assert_eq!(test.calls(Call::Submit, "200"), 1);
    test.assert_no_breach();
}

#[tokio::test]
async fn what_is_paused_says_so_wherever_somebody_looks_and_no_longer_than_it_is() {
    let mut test = Setup::new().env("PURGE__ENGINE__PAUSED", "true").start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..2]).await;
    let body = test.get(&format!("/purges/{purge}")).await;
    assert_eq!(body["blockedReason"]["code"], "engine_paused", "{body}");
    assert!(body["blockedReason"]["detail"].as_str().unwrap().contains("engine.paused"), "{body}");
    assert_eq!(body["progress"]["estimatedFinishAt"], Value::Null);
    let org = test.get("/orgs/default").await;
    assert_eq!((&org["paused"]["code"], &org["stopped"]), (&json!("engine_paused"), &Value::Null), "{org}");
    assert!(org["paused"]["since"].is_string() && org["paused"]["detail"] == body["blockedReason"]["detail"]);
    assert_eq!(test.counted("genesys_purge_org_paused", "org=\"default\"").await, 1);
    // Whoever stopped it stands in the way first.
    test.post("/orgs/default/stop", &Value::Null).await;
    assert_eq!(test.get(&format!("/purges/{purge}")).await["blockedReason"]["code"], "org_stopped");
    test.post("/orgs/default/resume", &Value::Null).await;

    test.stop_service().await;
    assert_eq!(test.number("select count(*) from org_workers").await, 0, "who stops says so");
    test.settings.engine.paused = false;
    test.start_service().await;
    assert_eq!(test.get("/orgs/default").await["paused"], Value::Null);
    assert_eq!(test.counted("genesys_purge_org_paused", "org=\"default\"").await, 0);
    assert_eq!(test.finished(purge).await["blockedReason"], Value::Null);
}

#[tokio::test]
async fn an_org_is_paused_where_every_worker_that_lives_is() {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    let purge = test
        .purge_with(json!({ "conversationIds": &test.ids_of(Kind::Eligible)[..2], "org": "default" }))
        .await;
    let reason = async || test.get(&format!("/purges/{purge}")).await["blockedReason"]["code"].clone();
    let worker = async |number: u128, org: &str, is_paused: bool, seen: &str| {
        test.sql(&format!(
            "insert into org_workers (org, worker, is_paused, since, seen_until)
             values ('{org}', '{}', {is_paused}, now(), now() + interval '{seen}')",
            uuid::Uuid::from_u128(number)
        ))
        .await;
    };
    assert_eq!(reason().await, Value::Null, "no worker is known: nothing is said");
    worker(1, "eu", true, "1 hour").await;
    assert_eq!(reason().await, Value::Null, "it works for another org");
    worker(2, "default", true, "1 hour").await;
    assert_eq!(reason().await, "engine_paused");
    worker(3, "default", false, "-1 second").await;
    assert_eq!(reason().await, "engine_paused", "who died begins nothing either");
    worker(4, "default", false, "1 hour").await;
    assert_eq!(reason().await, Value::Null, "one of them may begin something");
    assert_eq!(test.get("/orgs/eu").await["paused"]["code"], "engine_paused");
    let monitor = test.make_key(&[Scope::PurgesRead], Some(&["default"])).await;
    let (_, orgs) = read(test.request_as(&monitor, Method::GET, "/orgs").send().await.unwrap()).await;
    assert_eq!(orgs["items"].as_array().unwrap().len(), 1);
    assert_eq!(orgs["items"][0]["paused"], Value::Null);
}
