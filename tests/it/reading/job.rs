//! `GET /jobs/{id}`: by our id and by Genesys' id, within what the key reaches.

use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::{JobDuration, Kind};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::keys;
use crate::support::problem::refused;
use crate::support::{Setup, TestService};

fn text<'a>(job: &'a Value, field: &str) -> &'a str {
    job[field].as_str().unwrap()
}

#[tokio::test]
async fn a_job_is_found_by_both_its_ids_and_tells_all_that_it_carries() {
    // One slot: while the first job runs, two purges gather for the next.
    let test = Setup::new()
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "1")
        .sandbox(|organization| organization.job_duration = JobDuration { base_ms: 800, jitter_ms: 0 })
        .start()
        .await;
    let ids = test.ids_of(Kind::Eligible);
    let first = test.purge(&ids[..1]).await;
    test.purge_when(first, |body| body["counts"]["submitted"] == 1).await;
    let (one, other) = (test.purge(&ids[1..3]).await, test.purge(&ids[3..6]).await);
    for purge in [first, one, other] {
        test.finished(purge).await;
    }
    let [listed] = &test.jobs(one).await[..] else { panic!("one job") };
    assert_eq!(listed["conversations"], 2, "in the list of a purge only its own count");
    let ours = test.get(&format!("/jobs/{}", text(listed, "id"))).await;
    assert_eq!(test.get(&format!("/jobs/{}", text(listed, "jobId"))).await, ours);
    assert_eq!(test.get(&format!("/jobs/{}", text(listed, "id").to_uppercase())).await, ours);

    let mut expected = listed.clone();
    expected["conversations"] = json!(5);
    expected["org"] = json!("default");
    expected["purges"] = json!([{ "id": one, "conversations": 2 }, { "id": other, "conversations": 3 }]);
    assert_eq!(ours, expected, "else it is the same document");
    assert!(!keys(listed).contains(&"purges"), "the list keeps its shape");
}

#[tokio::test]
async fn a_job_of_another_org_is_not_there_and_an_id_of_two_orgs_is_ambiguous() {
    let test = Setup::new().second_org().start().await;
    let ids = test.ids_of(Kind::Eligible);
    let theirs = test.purge_with(json!({ "conversationIds": &ids[..2], "org": "default" })).await;
    let own = test.purge_with(json!({ "conversationIds": &ids[2..4], "org": "eu" })).await;
    for purge in [theirs, own] {
        test.finished(purge).await;
    }
    let (theirs, own) = (&test.jobs(theirs).await[0], &test.jobs(own).await[0]);
    let eu = test.make_key(&[Scope::PurgesRead], Some(&["eu"])).await;
    let as_eu = |id: &str| test.request_as(&eu, Method::GET, &format!("/jobs/{id}"));
    for field in ["id", "jobId"] {
        refused(as_eu(text(theirs, field)), 404, "not_found").await;
        let told: Value = as_eu(text(own, field)).send().await.unwrap().json().await.unwrap();
        assert_eq!((&told["id"], &told["org"]), (&own["id"], &json!("eu")));
    }

    test.sql("update jobs set upstream_job_id = 'same'").await;
    let problem = refused(test.request(Method::GET, "/jobs/same"), 409, "ambiguous_job_id").await;
    assert!(problem["detail"].as_str().unwrap().contains("our id"), "{problem}");
    let told: Value = as_eu("same").send().await.unwrap().json().await.unwrap();
    assert_eq!(told["id"], own["id"], "for a key of one org it is not ambiguous");
    assert_eq!(test.get(&format!("/jobs/{}", text(theirs, "id"))).await["jobId"], "same");
}

#[tokio::test]
async fn whatever_upstream_calls_a_job_it_is_found_by_and_our_ids_go_first() {
    let test = Setup::new().env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false").start().await;
    let ids = test.ids_of(Kind::Eligible);
    let mut jobs = Vec::new();
    for ids in [&ids[..1], &ids[1..2]] {
        let purge = test.purge(ids).await;
        test.finished(purge).await;
        jobs.push(text(&test.jobs(purge).await[0], "id").to_owned());
    }
    for (name, path) in [
        ("a/b", "a%2Fb"),
        ("two words", "two%20words"),
        ("100%", "100%25"),
        ("?x=1#y", "%3Fx%3D1%23y"),
        ("Löschung", "L%C3%B6schung"),
        ("..", "%2E%2E"),
        ("-1", "-1"),
        ("=1+1", "=1+1"),
    ] {
        test.sql(&format!("update jobs set upstream_job_id = '{name}' where id = '{}'", jobs[0])).await;
        if name == ".." {
            // Clients resolve such a path before they send it: it can only be asked for by our id.
            assert_eq!(test.get(&format!("/jobs/{}", jobs[0])).await["jobId"], "..");
            continue;
        }
        let told = test.get(&format!("/jobs/{path}")).await;
        assert_eq!((&told["id"], &told["jobId"]), (&json!(jobs[0]), &json!(name)), "{path}");
    }
    test.sql(&format!("update jobs set upstream_job_id = '{}' where id = '{}'", jobs[1], jobs[0])).await;
    assert_eq!(test.get(&format!("/jobs/{}", jobs[1])).await["id"], json!(jobs[1]));
}

#[tokio::test]
async fn an_id_that_nobody_gave_is_not_found() {
    let test = TestService::start().await;
    for id in ["x", "%00", "%ff", "a%00b", &Uuid::from_u128(7).to_string(), &"9".repeat(5000)] {
        refused(test.request(Method::GET, &format!("/jobs/{id}")), 404, "not_found").await;
    }
}
