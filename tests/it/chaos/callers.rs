//! Callers that repeat their requests, to one replica after the other, until one answers; and a record of the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use genesys_purge::sandbox::Kind;
use jiff::Timestamp;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::schedule::{Act, Verb};
use super::stage::{Stage, now};
use crate::support::receiver::Answer;

/// Nothing is down for so long.
const LONG: Duration = Duration::from_mins(2);

/// A purge that was accepted.
#[derive(Debug, Clone)]
pub struct Sent {
    pub id: Uuid,
    pub ids: Vec<Uuid>,
    pub is_dry_run: bool,
}

/// An answer that promises that nothing of these is submitted.
#[derive(Debug, Clone)]
pub struct Promise {
    pub what: String,
    /// None: of all.
    pub ids: Option<Vec<Uuid>>,
    /// When the answer was read, and from when on nothing is submitted.
    pub answered_at: Timestamp,
    pub quiet_at: Timestamp,
    /// What a hold came too late for.
    pub too_late: Vec<Uuid>,
    /// When what ends it was sent, if it was.
    pub ended_at: Option<Timestamp>,
}

/// What callers were told, and what they sent.
#[derive(Default)]
pub struct Ledger {
    pub purges: BTreeMap<usize, Sent>,
    /// Of holds, stops, and acts on purges, each by its number.
    pub holds: BTreeMap<usize, (Uuid, Promise)>,
    pub stops: BTreeMap<usize, Promise>,
    pub steered: Vec<(Verb, usize, Promise)>,
    /// Conversations that a hold was ever sent for, answered or not.
    pub ever_held: BTreeSet<Uuid>,
    /// Those on which Genesys itself put a hold meanwhile.
    pub protected_upstream: BTreeSet<Uuid>,
    /// When a purge was told to go on.
    pub went_on: Vec<(usize, Timestamp)>,
    pub lifted: BTreeMap<usize, Timestamp>,
}

pub struct Callers {
    pub stage: Stage,
    client: Client,
    key: String,
    seed: u64,
    /// The conversations of the organization.
    places: Vec<Uuid>,
    turn: AtomicUsize,
    pub ledger: Mutex<Ledger>,
}

impl Callers {
    pub async fn of(stage: Stage, seed: u64) -> Self {
        let client =
            Client::builder().tls_certs_only([]).no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let key = stage.replicas.make_key().await;
        let places = stage.sandbox.sandbox().ids().collect();
        Self { stage, client, key, seed, places, turn: AtomicUsize::new(0), ledger: Mutex::default() }
    }

    /// Sends it until it is answered by other words than "later".
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let deadline = Instant::now() + LONG;
        loop {
            let urls = self.stage.replicas.urls();
            if !urls.is_empty() {
                let url = &urls[self.turn.fetch_add(1, Ordering::Relaxed) % urls.len()];
                let mut request =
                    self.client.request(method.clone(), format!("{url}{path}")).bearer_auth(&self.key);
                if let Some(key) = key {
                    request = request.header("idempotency-key", key);
                }
                if let Some(body) = body {
                    request = request.json(body);
                }
                if let Ok(response) = request.send().await {
                    let status = response.status();
                    // A replica that dies while it answers has not answered.
                    if let Ok(text) = response.text().await
                        && status != StatusCode::SERVICE_UNAVAILABLE
                    {
                        return (status, serde_json::from_str(&text).unwrap_or(Value::String(text)));
                    }
                }
            }
            assert!(Instant::now() < deadline, "nobody answers {method} {path}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, None, None).await;
        assert_eq!(status, StatusCode::OK, "GET {path}: {body}");
        body
    }

    /// A `POST` whose answer is one of these.
    async fn post(&self, path: &str, body: Option<&Value>, lawful: &[u16]) -> (StatusCode, Value) {
        let (status, answer) = self.ask(Method::POST, path, None, body).await;
        assert!(lawful.contains(&status.as_u16()), "POST {path}: {status} {answer}");
        (status, answer)
    }

    /// Does one thing of the schedule to its end.
    pub async fn act(&self, act: Act) {
        match act {
            Act::Purge { purge, places, is_dry_run, is_sent_twice } => {
                self.purge(purge, &places, is_dry_run, is_sent_twice).await;
            }
            Act::Steer { verb, purge } => self.steer(verb, purge).await,
            Act::Hold { hold, places } => self.hold(hold, &places).await,
            Act::Release { hold } => self.release(hold).await,
            Act::ProtectUpstream { place } => self.protect_upstream(self.places[place]),
            Act::StopOrg { stop } => self.stop(stop).await,
            Act::ResumeOrg { stop } => {
                self.ledger.lock().unwrap().lifted.insert(stop, now());
                self.post("/orgs/default/resume", None, &[200, 409]).await;
            }
            Act::KillReplica { replica, down } => self.stage.kill_replica(replica, down).await,
            Act::KillDatabase { down } => self.stage.kill_database(down).await,
            Act::RevokeTokens => {
                self.stage.sandbox.sandbox().revoke_tokens();
            }
            Act::RefuseDeliveries { number } => {
                self.stage.receiver.answer_next(&vec![Answer::Status(503); number]);
            }
        }
    }

    fn ids(&self, places: &[usize]) -> Vec<Uuid> {
        places.iter().map(|place| self.places[*place]).collect()
    }

    /// Puts a hold on it at Genesys, unless a job is deleting it or has.
    fn protect_upstream(&self, id: Uuid) {
        let upstream = self.stage.sandbox.sandbox();
        let is_eligible = upstream.conversation(id).unwrap().kind == Kind::Eligible;
        if is_eligible && upstream.set_kind(id, Kind::Held).is_ok() {
            self.ledger.lock().unwrap().protected_upstream.insert(id);
        }
    }

    async fn purge(&self, number: usize, places: &[usize], is_dry_run: bool, is_sent_twice: bool) {
        let ids = self.ids(places);
        let body = json!({ "conversationIds": ids, "dryRun": is_dry_run, "reference": number.to_string() });
        let key = format!("chaos-{}-{number}", self.seed);
        let send = || self.ask(Method::POST, "/purges", Some(&key), Some(&body));
        let answers = if is_sent_twice {
            let (first, second) = tokio::join!(send(), send());
            vec![first, second]
        } else {
            vec![send().await]
        };
        for (status, body) in &answers {
            assert_eq!(*status, StatusCode::ACCEPTED, "{body}");
            assert_eq!(body["id"], answers[0].1["id"], "one key, one purge");
        }
        let id = answers[0].1["id"].as_str().unwrap().parse().unwrap();
        self.ledger.lock().unwrap().purges.insert(number, Sent { id, ids, is_dry_run });
    }

    /// The purge of this number, once it is accepted.
    async fn accepted(&self, number: usize) -> Sent {
        loop {
            if let Some(sent) = self.ledger.lock().unwrap().purges.get(&number) {
                return sent.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn steer(&self, verb: Verb, number: usize) {
        let sent = self.accepted(number).await;
        let word = match verb {
            Verb::Pause => "pause",
            Verb::Resume => "resume",
            Verb::Cancel => "cancel",
            Verb::Retry => "retry",
        };
        if matches!(verb, Verb::Resume | Verb::Retry) {
            self.ledger.lock().unwrap().went_on.push((number, now()));
        }
        let (status, body) = self.post(&format!("/purges/{}/{word}", sent.id), None, &[200, 409]).await;
        if status == StatusCode::OK && matches!(verb, Verb::Pause | Verb::Cancel) {
            let promise = promise(format!("{word} of purge {number}"), Some(sent.ids), &body);
            self.ledger.lock().unwrap().steered.push((verb, number, promise));
        }
    }

    async fn hold(&self, number: usize, places: &[usize]) {
        let ids = self.ids(places);
        self.ledger.lock().unwrap().ever_held.extend(&ids);
        let external = format!("chaos-{number}");
        let body = json!({ "matter": "chaos", "externalId": external, "conversationIds": ids });
        let (_, body) = self.post("/holds", Some(&body), &[200, 201]).await;
        let id = body["id"].as_str().unwrap().parse().unwrap();
        let promise = promise(format!("hold {number}"), Some(ids), &body);
        self.ledger.lock().unwrap().holds.insert(number, (id, promise));
    }

    async fn release(&self, number: usize) {
        let id = loop {
            if let Some((id, promise)) = self.ledger.lock().unwrap().holds.get_mut(&number) {
                promise.ended_at = Some(now());
                break *id;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        self.post(&format!("/holds/{id}/release"), None, &[200, 409]).await;
    }

    async fn stop(&self, number: usize) {
        let (_, body) = self.post("/orgs/default/stop", None, &[200]).await;
        let promise = promise(format!("stop {number}"), None, &body);
        self.ledger.lock().unwrap().stops.insert(number, promise);
    }

    /// What is paused or stopped goes on, all of it.
    pub async fn let_all_go_on(&self) {
        self.post("/orgs/default/resume", None, &[200, 409]).await;
        let numbers: Vec<usize> = self.ledger.lock().unwrap().purges.keys().copied().collect();
        for number in numbers {
            self.steer(Verb::Resume, number).await;
        }
    }

    /// Retries what failed; tells how many there were.
    pub async fn retry_failed(&self) -> usize {
        let purges = self.ledger.lock().unwrap().purges.clone();
        let mut failed = 0;
        for (number, sent) in purges {
            if self.get(&format!("/purges/{}", sent.id)).await["state"] == "failed" {
                self.steer(Verb::Retry, number).await;
                failed += 1;
            }
        }
        failed
    }
}

fn promise(what: String, ids: Option<Vec<Uuid>>, body: &Value) -> Promise {
    let too_late = serde_json::from_value(body["tooLate"].clone()).unwrap_or_default();
    let quiet_at = body["quietAt"].as_str().unwrap().parse().unwrap();
    Promise { what, ids, answered_at: now(), quiet_at, too_late, ended_at: None }
}
