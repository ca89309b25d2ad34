//! A webhook receiver that keeps what came, checks signatures with the `standardwebhooks` crate, and answers as told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use futures_util::stream;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// The secret of every test's receiver.
pub const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// One delivery that came.
#[derive(Debug, Clone)]
pub struct Hook {
    /// The `webhook-id`.
    pub id: String,
    /// The signature was good.
    pub is_verified: bool,
    /// The body, as it came.
    pub text: String,
    /// The body.
    pub body: Value,
    /// When it came.
    pub at: Instant,
    /// Every header that is not the connection's own affair.
    pub headers: BTreeMap<String, String>,
}

/// How a delivery is answered.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// With this status.
    Status(u16),
    /// With this status and body.
    Saying(u16, &'static str),
    /// With this status, asking to be left alone for so long.
    RetryAfter(u16, &'static str),
    /// With this status and a body that has no end.
    Endless(u16),
    /// With this status, once it is told to.
    Held(u16),
    /// Never.
    Silence,
}

impl Hook {
    /// The name of the event.
    pub fn event(&self) -> &str {
        self.body["event"].as_str().unwrap_or_default()
    }
}

/// A receiver.
#[derive(Clone)]
pub struct Receiver {
    /// Its address.
    pub url: String,
    secret: Arc<str>,
    hooks: watch::Sender<Vec<Hook>>,
    /// Answers to the next deliveries; 204 where none is left.
    answers: Arc<Mutex<Vec<Answer>>>,
    /// What stands in `Location` of every answer.
    location: Option<String>,
    /// A permit for each answer that is held back and may go.
    let_go: Arc<Semaphore>,
}

impl Receiver {
    /// Listens on a free port.
    pub async fn start() -> Self {
        Self::with_secret(SECRET).await
    }

    /// The same with a secret of its own.
    pub async fn with_secret(secret: &str) -> Self {
        Self::listen(([127, 0, 0, 1], 0).into(), None, secret).await
    }

    /// The same; every answer says in `Location` that the receiver has moved there.
    pub async fn leading_to(location: Option<String>) -> Self {
        Self::listen(([127, 0, 0, 1], 0).into(), location, SECRET).await
    }

    /// Listens where nobody listens.
    pub async fn at(address: SocketAddr) -> Self {
        Self::listen(address, None, SECRET).await
    }

    async fn listen(address: SocketAddr, location: Option<String>, secret: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let receiver = Self {
            url: format!("http://{}/hooks", listener.local_addr().unwrap()),
            secret: secret.into(),
            hooks: watch::Sender::default(),
            answers: Arc::default(),
            location,
            let_go: Arc::new(Semaphore::new(0)),
        };
        let router = Router::new().route("/hooks", post(take)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    /// Answers the next deliveries so.
    pub fn answer_next(&self, answers: &[Answer]) {
        let mut next = self.answers.lock().unwrap();
        next.splice(0..0, answers.iter().rev().copied());
    }

    /// Answers as it does by itself from now on.
    pub fn answer_as_usual(&self) {
        self.answers.lock().unwrap().clear();
    }

    /// Lets one answer go that is held back.
    pub fn let_go(&self) {
        self.let_go.add_permits(1);
    }

    /// What came so far.
    pub fn hooks(&self) -> Vec<Hook> {
        self.hooks.borrow().clone()
    }

    /// Waits until so many deliveries that match came.
    pub async fn wait_for(&self, number: usize, matches: impl Fn(&Hook) -> bool) -> Vec<Hook> {
        let mut hooks = self.hooks.subscribe();
        let enough = hooks.wait_for(|hooks| hooks.iter().filter(|hook| matches(hook)).count() >= number);
        let all = tokio::time::timeout(Duration::from_mins(1), enough).await;
        let all =
            all.unwrap_or_else(|_| panic!("{number} deliveries did not come: {:#?}", self.hooks())).unwrap();
        all.iter().filter(|hook| matches(hook)).cloned().collect()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    let verifier = standardwebhooks::Webhook::new(&receiver.secret).unwrap();
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let shown = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let hook = Hook {
        id: id.to_owned(),
        is_verified: verifier.verify(&body, &headers).is_ok(),
        text: String::from_utf8_lossy(&body).into_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        at: Instant::now(),
        headers: headers.iter().map(|(name, value)| (name.to_string(), shown(value))).collect(),
    };
    receiver.hooks.send_modify(|hooks| hooks.push(hook));
    let answer = receiver.answers.lock().unwrap().pop().unwrap_or(Answer::Status(204));
    let location: HeaderMap =
        receiver.location.iter().map(|to| (header::LOCATION, HeaderValue::from_str(to).unwrap())).collect();
    let with = |status: u16| StatusCode::from_u16(status).unwrap();
    match answer {
        Answer::Status(status) => (with(status), location).into_response(),
        Answer::Saying(status, text) => (with(status), text).into_response(),
        Answer::RetryAfter(status, wait) => (with(status), [(header::RETRY_AFTER, wait)]).into_response(),
        Answer::Endless(status) => {
            let pieces = stream::repeat_with(|| Ok::<_, std::io::Error>("without end. ".repeat(1000)));
            (with(status), Body::from_stream(pieces)).into_response()
        }
        Answer::Held(status) => {
            receiver.let_go.acquire().await.unwrap().forget();
            with(status).into_response()
        }
        Answer::Silence => std::future::pending().await,
    }
}
