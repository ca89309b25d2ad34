//! The calls over a real socket, as a caller sees them.

mod control;
mod faults;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{Clock, FaultRule, JobDuration, Kind, Rule, Running, Sandbox, Settings};

const BASE: &str = "/api/v2/analytics/conversations";

/// A sandbox whose clock stands still until a test moves it, and a caller with a token.
struct Stage {
    running: Running,
    clock: Clock,
    http: reqwest::Client,
    token: String,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap();
        Self { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }
}

/// Settings without chance: every job takes a second, deletes all, and shows it at once.
fn plain() -> Settings {
    Settings {
        conversations: 2000,
        job_duration: JobDuration { base_ms: 1000, jitter_ms: 0 },
        failed_share: 0.0,
        partial_share: 0.0,
        job_unknown_ms: 0,
        deletion_lag_ms: 0,
        leave_out_share: 0.0,
        vary_letter_case: false,
        ..Settings::default()
    }
}

fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().tls_certs_only([]).no_proxy().timeout(Duration::from_secs(10));
    builder.build().unwrap()
}

impl Stage {
    async fn set(settings: Settings) -> Self {
        let clock = Clock::manual("2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap());
        let sandbox = Arc::new(Sandbox::new(settings, clock.clone()).unwrap());
        let running = Running::serve(sandbox, "127.0.0.1:0".parse().unwrap(), false).await.unwrap();
        let mut stage = Self { running, clock, http: client(), token: String::new() };
        stage.token = stage.new_token().await;
        stage
    }

    async fn new_token(&self) -> String {
        let settings = self.sandbox().settings();
        let answer = self.ask_token(&settings.client_id, &settings.client_secret, "client_credentials").await;
        answer.body["access_token"].as_str().unwrap().to_owned()
    }

    async fn ask_token(&self, id: &str, secret: &str, grant: &str) -> Answer {
        let request = self.http.post(self.url("/oauth/token")).basic_auth(id, Some(secret));
        Answer::of(request.form(&[("grant_type", grant)]).send().await.unwrap()).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.url)
    }

    fn sandbox(&self) -> &Sandbox {
        self.running.sandbox()
    }

    fn some(&self, kind: Kind, count: usize) -> Vec<Uuid> {
        let ids = self.sandbox().ids_of(kind);
        assert!(ids.len() >= count, "{kind:?}");
        ids[..count].to_vec()
    }

    fn fault(&self, rule: Value) {
        self.sandbox().add_fault(serde_json::from_value::<FaultRule>(rule).unwrap()).unwrap();
    }

    fn breaches(&self) -> Vec<Rule> {
        self.sandbox().report(0, 500).breach_counts.into_keys().collect()
    }

    fn details_request(&self, ids: &[Uuid]) -> reqwest::RequestBuilder {
        let quoted: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
        let query = format!("conversationId IN ({})", quoted.join(","));
        let request = self.http.post(self.url(&format!("{BASE}/details/query"))).bearer_auth(&self.token);
        request.json(&json!({"query": query, "view": "default"}))
    }

    fn submit_request(&self, ids: &[Uuid]) -> reqwest::RequestBuilder {
        let request = self.http.post(self.url(&format!("{BASE}/purge"))).bearer_auth(&self.token);
        request.json(&json!({"conversationIds": ids, "permanentDelete": true}))
    }

    async fn details(&self, ids: &[Uuid]) -> Answer {
        Answer::of(self.details_request(ids).send().await.unwrap()).await
    }

    async fn submit(&self, ids: &[Uuid]) -> Answer {
        Answer::of(self.submit_request(ids).send().await.unwrap()).await
    }

    async fn poll(&self, job: &Value) -> Answer {
        let url = self.url(&format!("{BASE}/purge/{}", job.as_str().unwrap()));
        Answer::of(self.http.get(url).bearer_auth(&self.token).send().await.unwrap()).await
    }

    async fn control(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.http.request(method, self.url(&format!("/sandbox{path}")));
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request.send().await.unwrap()).await
    }
}
