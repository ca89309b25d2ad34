//! A service that answers as told, one answer a request: for what a real one does seldom.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// A request that came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub authorization: String,
    pub idempotency_key: String,
    pub body: String,
}

type Desk = Arc<Mutex<(VecDeque<(u16, Value)>, Vec<Asked>)>>;

pub struct Fake {
    pub url: String,
    desk: Desk,
    task: AbortHandle,
}

impl Fake {
    pub async fn start<const N: usize>(answers: [(u16, Value); N]) -> Self {
        let desk: Desk = Arc::new(Mutex::new((answers.into(), Vec::new())));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).with_state(Arc::clone(&desk));
        let task = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { url, desk, task }
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.desk.lock().unwrap().1.clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(State(desk): State<Desk>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let header = |name: &str| {
        head.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let (authorization, idempotency_key) = (header("authorization"), header("idempotency-key"));
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let mut desk = desk.lock().unwrap();
    desk.1.push(Asked { authorization, idempotency_key, body: String::from_utf8(body.to_vec()).unwrap() });
    let (status, answer) = desk.0.pop_front().expect("as many answers as requests");
    (StatusCode::from_u16(status).unwrap(), [("retry-after", "1")], axum::Json(answer)).into_response()
}
