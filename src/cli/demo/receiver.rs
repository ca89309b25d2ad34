//! The operator's webhook receiver, as somebody would write it: it checks the signature of every delivery.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

#[derive(Debug, Default)]
pub(super) struct Received {
    /// How often each event came, repeats not counted.
    pub(super) events: BTreeMap<String, usize>,
    /// Deliveries whose signature was good.
    pub(super) verified: usize,
    /// Deliveries whose signature was not.
    pub(super) forged: usize,
    seen: HashSet<String>,
}

/// A receiver that listens.
pub(super) struct Receiver {
    pub(super) url: String,
    received: Arc<Mutex<Received>>,
    task: AbortHandle,
}

#[derive(Clone)]
struct Desk {
    secret: Arc<standardwebhooks::Webhook>,
    received: Arc<Mutex<Received>>,
}

impl Receiver {
    pub(super) async fn start(secret: &str) -> anyhow::Result<Self> {
        let secret = Arc::new(standardwebhooks::Webhook::new(secret)?);
        let received = Arc::new(Mutex::new(Received::default()));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}/hooks", listener.local_addr()?);
        let router = Router::new()
            .route("/hooks", post(take))
            .with_state(Desk { secret, received: Arc::clone(&received) });
        let task = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Ok(Self { url, received, task })
    }

    /// Looks at what came so far.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Received) -> T) -> T {
        look(&self.received.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Deliveries come a moment after what they tell of: waits until so many events came, for a while.
    pub(super) async fn settle(&self, expected: usize) {
        for _ in 0..100 {
            if self.look(|received| received.events.values().sum::<usize>()) >= expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) fn stop(&self) {
        self.task.abort();
    }
}

async fn take(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let is_good = desk.secret.verify(&body, &headers).is_ok();
    let mut received = desk.received.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_good {
        received.forged += 1;
        return StatusCode::UNAUTHORIZED;
    }
    received.verified += 1;
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let event = serde_json::from_slice::<serde_json::Value>(&body)
        .ok()
        .and_then(|event| Some(event.get("event")?.as_str()?.to_owned()))
        .unwrap_or_default();
    if received.seen.insert(id) {
        *received.events.entry(event).or_default() += 1;
    }
    StatusCode::NO_CONTENT
}
