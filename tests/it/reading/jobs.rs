//! The jobs of a purge.

use genesys_purge::sandbox::Kind;
use serde_json::{Value, json};
use uuid::Uuid;

use super::keys;
use crate::support::{Setup, TestService};

#[tokio::test]
async fn a_job_has_the_fields_of_the_contract() {
    let test = TestService::start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..3]).await;
    test.finished(purge).await;
    let page = test.get(&format!("/purges/{purge}/jobs")).await;
    assert_eq!(page["nextCursor"], Value::Null);
    let [job] = &page["items"].as_array().unwrap()[..] else { panic!("one job: {page}") };
    let fields = [
        "attempt",
        "conversations",
        "finishedAt",
        "id",
        "jobId",
        "lastError",
        "latencySeconds",
        "recordsProcessed",
        "result",
        "state",
        "submittedAt",
        "upstreamJobId",
        "upstreamState",
    ];
    assert_eq!(keys(job), fields);
    assert_eq!((&job["state"], &job["result"]), (&json!("done"), &json!("completed")));
    assert_eq!(
        (&job["conversations"], &job["recordsProcessed"], &job["attempt"]),
        (&json!(3), &json!(3), &json!(1))
    );
    assert_eq!(job["lastError"], Value::Null);
    assert!(job["id"].as_str().unwrap().parse::<Uuid>().is_ok());
    assert_eq!(job["jobId"], job["upstreamJobId"]);
    assert_eq!(job["upstreamState"].as_str().unwrap().to_lowercase(), "completed");
    let at = |field: &str| job[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(at("submittedAt") < at("finishedAt"));
    let latency = job["latencySeconds"].as_f64().unwrap();
    assert!(latency > 0.0 && (latency * 100.0).fract().abs() < 1e-6, "two decimals: {latency}");
    for row in test.conversations(purge).await {
        assert_eq!(row["jobId"], job["jobId"]);
    }
}

#[tokio::test]
async fn jobs_come_oldest_first_page_by_page_and_count_only_this_purge() {
    let test = Setup::new().env("PURGE__ORGS__DEFAULT__MAX_BATCH", "2").start().await;
    let ids = test.ids_of(Kind::Eligible);
    let (one, other) = (test.purge(&ids[..5]).await, test.purge(&ids[5..8]).await);
    for (purge, number) in [(one, 5), (other, 3)] {
        test.finished(purge).await;
        let whole = test.get(&format!("/purges/{purge}/jobs?limit=1000")).await;
        let jobs = whole["items"].as_array().unwrap();
        assert!(jobs.len() >= 2, "{whole}");
        assert_eq!(jobs.iter().map(|job| job["conversations"].as_i64().unwrap()).sum::<i64>(), number);
        let (mut paged, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = test.get(&format!("/purges/{purge}/jobs?limit=1{cursor}")).await;
            assert_eq!(page["items"].as_array().unwrap().len(), 1);
            paged.push(page["items"][0].clone());
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(&paged, jobs);
        assert!(jobs.is_sorted_by_key(|job| job["id"].as_str().unwrap().to_owned()));
    }
    test.assert_no_breach();
}

#[tokio::test]
async fn a_purge_without_jobs_has_an_empty_page() {
    let test = TestService::start().await;
    let purge = test
        .purge_with(json!({ "conversationIds": &test.ids_of(Kind::Eligible)[..3], "dryRun": true }))
        .await;
    test.finished(purge).await;
    assert_eq!(test.get(&format!("/purges/{purge}/jobs")).await, json!({ "items": [], "nextCursor": null }));
}
