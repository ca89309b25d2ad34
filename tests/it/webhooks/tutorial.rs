//! A receiver as the tutorial has it: it reads six fields of what comes, knows nothing of signatures, and answers 200.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use genesys_purge::sandbox::Kind;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::support::Setup;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobCompleted {
    job_id: String,
    state: String,
    records_processed: u64,
    latency_seconds: f64,
    timestamp: jiff::Timestamp,
}

type Jobs = Arc<Mutex<Vec<JobCompleted>>>;

async fn take(State(jobs): State<Jobs>, body: String) -> &'static str {
    let event: serde_json::Value = serde_json::from_str(&body).unwrap();
    if event["event"] == "purge_job_completed" {
        jobs.lock().unwrap().push(serde_json::from_value(event).unwrap());
    }
    "ok"
}

#[tokio::test]
async fn a_receiver_of_the_tutorial_works_as_ever() {
    let jobs = Jobs::default();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    let router = Router::new().route("/webhook", post(take)).with_state(jobs.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let test = Setup::new().env("RETENTION_WEBHOOK_URL", &url).start().await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let purge = test.purge(ids).await;
    test.finished(purge).await;
    let taken =
        "select count(*) from deliveries where state = 'delivered' and attempt = 1 and last_status = 200";
    test.wait_until("both are taken at once", async || test.number(taken).await == 2).await;

    let upstream = test.get(&format!("/purges/{purge}/jobs")).await["items"][0].clone();
    let jobs = jobs.lock().unwrap().clone();
    let [job] = &jobs[..] else { panic!("one job: {jobs:?}") };
    assert_eq!((upstream["jobId"].as_str(), job.state.as_str()), (Some(job.job_id.as_str()), "completed"));
    assert_eq!(job.records_processed, 3);
    assert!((0.0..60.0).contains(&job.latency_seconds), "{job:?}");
    let submitted_at: jiff::Timestamp = upstream["submittedAt"].as_str().unwrap().parse().unwrap();
    assert!(job.timestamp >= submitted_at, "{job:?}");
}
