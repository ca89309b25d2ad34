//! A receiver of webhooks: `cargo add axum serde_json standardwebhooks tokio --features tokio/full`

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use standardwebhooks::{Webhook, WebhookError};

struct Receiver {
    webhook: Webhook,
    seen: Mutex<HashSet<String>>,
}

pub fn router(secret: &str) -> Result<Router, WebhookError> {
    let receiver = Receiver { webhook: Webhook::new(secret)?, seen: Mutex::default() };
    Ok(Router::new().route("/hooks", post(take)).with_state(Arc::new(receiver)))
}

/// `body` are the bytes as they came: JSON that was read and written again is no longer what was signed.
async fn take(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if receiver.webhook.verify(&body, &headers).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(event) = serde_json::from_slice::<serde_json::Value>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    // It may come twice: keep the ids where you keep what you did.
    let id = headers["webhook-id"].to_str().unwrap_or_default().to_owned();
    if receiver.seen.lock().is_ok_and(|mut seen| seen.insert(id)) {
        println!("{} {}", event["event"], event["purgeId"]);
    }
    StatusCode::NO_CONTENT
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8090").await?;
    axum::serve(listener, router(&std::env::var("WEBHOOK_SECRET")?)?).await?;
    Ok(())
}
