//! A fake service with scripted answers, one per request, for cases that are rare in a real one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
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

#[derive(Default)]
struct Book {
    answers: VecDeque<(u16, Value)>,
    /// Requests whose head came, whole or not.
    begun: usize,
    asked: Vec<Asked>,
}

type Desk = Arc<Mutex<Book>>;

pub struct Fake {
    pub url: String,
    desk: Desk,
    task: AbortHandle,
}

impl Fake {
    /// With these answers, a status and a body; 0 is no status: the answer breaks off.
    pub async fn start<const N: usize>(answers: [(u16, Value); N]) -> Self {
        let desk: Desk = Arc::new(Mutex::new(Book { answers: answers.into(), ..Book::default() }));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).with_state(Arc::clone(&desk));
        let task = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { url, desk, task }
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.desk.lock().unwrap().asked.clone()
    }

    /// How many began to come.
    pub fn begun(&self) -> usize {
        self.desk.lock().unwrap().begun
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(State(desk): State<Desk>, request: Request<Body>) -> Response {
    desk.lock().unwrap().begun += 1;
    let (head, body) = request.into_parts();
    let header = |name: &str| {
        head.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let (authorization, idempotency_key) = (header("authorization"), header("idempotency-key"));
    let Ok(body) = to_bytes(body, 1 << 20).await else { return StatusCode::BAD_REQUEST.into_response() };
    let mut desk = desk.lock().unwrap();
    desk.asked.push(Asked {
        authorization,
        idempotency_key,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let (status, answer) = desk.answers.pop_front().expect("as many answers as requests");
    if status == 0 {
        let broken = stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("gone")) });
        return (StatusCode::ACCEPTED, Body::from_stream(broken)).into_response();
    }
    (StatusCode::from_u16(status).unwrap(), [("retry-after", "1")], axum::Json(answer)).into_response()
}
