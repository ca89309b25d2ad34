//! How fast webhooks go out to a receiver that takes them at once, beside one that is dead and one that takes its time; next to a
//! loop of bare signed POSTs of the same bytes with the same client. And how soon the end of a purge arrives.
//!
//! `cargo bench --bench deliveries`

mod support;

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use genesys_purge::app::World;
use genesys_purge::domain::address::AddressRules;
use genesys_purge::sandbox::Sandbox;
use genesys_purge::webhooks::{Destination, Message, Sender, SigningSecret, new_secret};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

use support::{Process, organization, quantiles, spread};

/// Webhooks for the fast receiver in a round; a tenth as many for each of the others.
const WEBHOOKS: u16 = 4000;
const ROUNDS: usize = 3;
const ENDS: usize = 100;

/// A receiver that counts what it takes, after so long.
async fn receiver(pause: Duration) -> (String, watch::Receiver<Vec<Value>>) {
    let (told, taken) = watch::channel(Vec::new());
    let clock = World::machine().clock();
    let take = move |body: Bytes| {
        let (told, clock) = (told.clone(), clock.clone());
        async move {
            tokio::time::sleep(pause).await;
            let body: Value = serde_json::from_slice(&body).unwrap();
            told.send_modify(|all| all.push(json!({ "at": clock(), "body": body })));
            StatusCode::NO_CONTENT
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(take))).await });
    (url, taken)
}

async fn register(process: &Process, url: &str) -> String {
    let request = process.client.post(format!("{}/webhook-endpoints", process.url)).bearer_auth(&process.key);
    let response = request.json(&json!({ "url": url })).send().await.unwrap();
    let status = response.status();
    let endpoint: Value = response.json().await.unwrap();
    assert_eq!(status, 201, "{endpoint}");
    endpoint["id"].as_str().unwrap().to_owned()
}

/// Has so many webhooks written for an endpoint, and told of.
fn write(endpoint: &str, number: u16, payload: &str) -> String {
    format!(
        "with written as (
             insert into events (id, type, org, actor, payload, at)
             select gen_random_uuid(), 'purge_job_completed', 'default', 'engine', '{{}}', now()
             from generate_series(1, {number})
             returning id
         )
         insert into deliveries (id, event_id, endpoint, payload, run_at, due_at)
         select gen_random_uuid(), id, '{endpoint}', '{payload}', '9999-01-01', now() from written;"
    )
}

#[tokio::main]
async fn main() {
    let sandbox = Sandbox::start(organization(1, 1000, 10), ([127, 0, 0, 1], 0).into(), false).await.unwrap();
    let process = Process::start(
        &sandbox.url,
        &[
            ("PURGE__WEBHOOKS__ALLOWED_NETWORKS", "127.0.0.0/8"),
            ("PURGE__WEBHOOKS__ALLOWED_PORTS", "1-65535"),
        ],
    );
    let (fast, mut taken) = receiver(Duration::ZERO).await;
    let (slow, _slow) = receiver(Duration::from_secs(3)).await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = format!("http://{}/", dead.local_addr().unwrap());
    let endpoints =
        [register(&process, &fast).await, register(&process, &slow).await, register(&process, &dead).await];
    let mut database = process.connect().await;
    let payload = json!({
        "event": "purge_job_completed", "jobId": "b6fd3c7f-2ffb-4c2e-bbd0-9f2c9d1e4a10", "state": "completed",
        "recordsProcessed": 500, "latencySeconds": 12.34, "timestamp": "2026-11-25T12:00:00Z", "purgeCount": 1,
        "purgeId": "01a2109c-2f32-719b-b6eb-2bae3121a89e",
    })
    .to_string();
    let (mut rates, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = taken.borrow().len();
        let bare_rate = bare_posts(&fast, &payload).await;
        taken.wait_for(|all| all.len() == before + usize::from(WEBHOOKS)).await.unwrap();
        for endpoint in &endpoints[1..] {
            database.execute(AssertSqlSafe(write(endpoint, WEBHOOKS / 10, &payload))).await.unwrap();
        }
        database.execute(AssertSqlSafe(write(&endpoints[0], WEBHOOKS, &payload))).await.unwrap();
        let began = Instant::now();
        database.execute("select pg_notify('genesys_purge_work', '#deliveries')").await.unwrap();
        taken.wait_for(|all| all.len() == before + 2 * usize::from(WEBHOOKS)).await.unwrap();
        let rate = f64::from(WEBHOOKS) / began.elapsed().as_secs_f64();
        rates.push(rate);
        bare.push(bare_rate);
        ratios.push(rate / bare_rate);
    }
    for (what, figures) in
        [("webhooks a second", rates), ("bare signed POSTs a second", bare), ("ratio", ratios)]
    {
        let (least, median, most) = spread(figures);
        println!("{what}: {median:.2} ({least:.2} to {most:.2})");
    }
    ends(&process, &mut taken, sandbox.sandbox().ids().next().unwrap()).await;
}

/// So many a second, one after the other.
async fn bare_posts(url: &str, payload: &str) -> f64 {
    let rules = AddressRules::new(vec![1..=u16::MAX], vec!["127.0.0.0/8".parse().unwrap()]);
    let sender = Sender::new(rules).unwrap();
    let secret = SigningSecret::parse(&new_secret([7; 32])).unwrap();
    let to = Destination::of_caller(url.parse().unwrap(), vec![secret], Duration::from_secs(15));
    let clock = World::machine().clock();
    let began = Instant::now();
    for number in 0..WEBHOOKS {
        let sent = sender.send(&to, Message::new(&number.to_string(), payload), clock()).await;
        assert!(sent.taken.is_ok(), "{sent:?}");
    }
    f64::from(WEBHOOKS) / began.elapsed().as_secs_f64()
}

/// From the moment that the last conversation ended, to the arrival of the webhook that tells it.
async fn ends(process: &Process, taken: &mut watch::Receiver<Vec<Value>>, held: uuid::Uuid) {
    let hold = process.client.post(format!("{}/holds", process.url)).bearer_auth(&process.key);
    let hold = hold.json(&json!({ "matter": "M", "conversationIds": [held] })).send().await.unwrap();
    assert!(hold.status().is_success());
    let mut figures = Vec::new();
    for _ in 0..ENDS {
        let purge = process.purge(json!({ "conversationIds": [held] })).await;
        let told = taken
            .wait_for(|all| all.iter().any(|hook| hook["body"]["purgeId"] == purge.as_str()))
            .await
            .unwrap()
            .iter()
            .find(|hook| hook["body"]["purgeId"] == purge.as_str())
            .unwrap()
            .clone();
        let moment = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let (at, ended) = (moment(&told["at"]), moment(&told["body"]["finishedAt"]));
        figures.push(at.duration_since(ended).as_secs_f64());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (p50, p99) = quantiles(figures);
    println!(
        "from the end of a purge to the arrival of its webhook: p50 {p50:.2} ms (under 20), p99 {p99:.2} ms"
    );
}
