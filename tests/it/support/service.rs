//! The service under test, with everything around it.

use std::time::Duration;

use genesys_purge::api::ConnectionTerms;
use genesys_purge::app::{self, Patience, Role, Service, World};
use genesys_purge::config::{Environment, Settings, Sources};
use genesys_purge::domain::keys::{Caller, Reach, Scope, format_key};
use genesys_purge::sandbox::{self, JobDuration, Kind, Running, Sandbox, Shares};
use genesys_purge::store::{Deadlines, Store};
use reqwest::{Body, Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::postgres::{TestDatabase, new_id};
use super::proxy::Proxy;
use super::receiver::{Receiver, SECRET};

/// How a test wants its service.
pub struct Setup {
    sandbox: sandbox::Settings,
    variables: Vec<(String, String)>,
    role: Role,
    patience: Patience,
    is_behind_proxy: bool,
    has_second_org: bool,
    database: Option<TestDatabase>,
}

impl Setup {
    /// A calm organization of a hundred eligible conversations, quick jobs, no limits, no chance; a service that looks
    /// often.
    pub fn new() -> Self {
        let sandbox = sandbox::Settings {
            conversations: 100,
            shares: Shares { eligible: 1.0, ..Shares::none() },
            job_duration: JobDuration { base_ms: 50, jitter_ms: 0 },
            failed_share: 0.0,
            partial_share: 0.0,
            job_unknown_ms: 0,
            deletion_lag_ms: 0,
            leave_out_share: 0.0,
            requests_per_minute: 0,
            ..sandbox::Settings::default()
        };
        let variables = [
            ("PURGE__SERVER__BIND", "127.0.0.1:0"),
            ("PURGE__DATABASE__MAX_CONNECTIONS", "10"),
            ("PURGE__ORGS__DEFAULT__REQUESTS_PER_MINUTE", "0"),
            ("PURGE__ENGINE__POLL_INITIAL", "50ms"),
            ("PURGE__ENGINE__ABSENCE_GAP", "100ms"),
            ("PURGE__ENGINE__AMBIGUITY_GRACE", "300ms"),
            ("PURGE__ENGINE__RESUBMIT_AFTER", "100ms"),
            ("RETENTION_WEBHOOK_SECRET", SECRET),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self {
            sandbox,
            variables,
            role: Role::All,
            patience: Patience::default(),
            is_behind_proxy: false,
            has_second_org: false,
            database: None,
        }
    }

    /// Changes the organization.
    pub fn sandbox(mut self, change: impl FnOnce(&mut sandbox::Settings)) -> Self {
        change(&mut self.sandbox);
        self
    }

    /// Sets a variable of the service's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A second org, `eu`, beside `default`: another name for the same simulated organization.
    pub fn second_org(mut self) -> Self {
        self.has_second_org = true;
        self
    }

    /// On this database, whose schema is current.
    pub fn database(mut self, database: TestDatabase) -> Self {
        self.database = Some(database);
        self
    }

    /// Ids of one kind, as the organization will have them.
    pub fn ids_of(&self, kind: Kind) -> Vec<Uuid> {
        Sandbox::new(self.sandbox.clone(), sandbox::Clock::machine()).unwrap().ids_of(kind)
    }

    /// What the process does.
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// How long callers may take.
    pub fn connections(mut self, change: impl FnOnce(&mut ConnectionTerms)) -> Self {
        change(&mut self.patience.callers);
        self
    }

    /// How long the database is waited for.
    pub fn deadlines(mut self, change: impl FnOnce(&mut Deadlines)) -> Self {
        change(&mut self.patience.database);
        self
    }

    /// The service reaches its database by a way that the test can close.
    pub fn behind_proxy(mut self) -> Self {
        self.is_behind_proxy = true;
        self
    }

    /// Starts everything.
    pub async fn start(self) -> TestService {
        let database = match self.database {
            Some(database) => database,
            None => TestDatabase::create().await,
        };
        let sandbox = Sandbox::start(self.sandbox, ([127, 0, 0, 1], 0).into(), false).await.unwrap();
        let receiver = Receiver::start().await;
        let organization = sandbox.sandbox().settings();
        let variables = [
            ("GENESYS_BASE_URL".to_owned(), sandbox.url.clone()),
            ("GENESYS_CLIENT_ID".to_owned(), organization.client_id),
            ("GENESYS_CLIENT_SECRET".to_owned(), organization.client_secret),
            ("RETENTION_WEBHOOK_URL".to_owned(), receiver.url.clone()),
        ];
        let eu = self.has_second_org.then(|| {
            [
                ("PURGE__ORGS__EU__BASE_URL", &variables[0].1),
                ("PURGE__ORGS__EU__CLIENT_ID", &variables[1].1),
                ("PURGE__ORGS__EU__CLIENT_SECRET", &variables[2].1),
            ]
            .map(|(name, value)| (name.to_owned(), value.clone()))
        });
        let eu = eu.into_iter().flatten().collect::<Vec<_>>();
        let variables: Vec<_> = variables.into_iter().chain(eu).chain(self.variables).collect();
        let environment: Environment = variables.iter().cloned().collect();
        let working_dir = tempfile::tempdir().unwrap();
        let sources = Sources { config_file: None, working_dir: working_dir.path().to_owned(), environment };
        let settings = Settings::load(&sources).unwrap();
        let proxy = if self.is_behind_proxy { Some(Proxy::to(&database).await) } else { None };
        let place = proxy.as_ref().map_or_else(|| database.place(), Proxy::place);
        let world = World::machine();
        let service = Service::start_on(&settings, &world, &place, self.role, self.patience).await.unwrap();
        let url = format!("http://{}", service.address());
        let client =
            Client::builder().tls_certs_only([]).no_proxy().timeout(Duration::from_mins(2)).build().unwrap();
        let mut test = TestService {
            database,
            proxy,
            sandbox,
            receiver,
            variables,
            settings,
            url,
            key: String::new(),
            client,
            service: Some(service),
        };
        test.key = test.make_key(Scope::ALL, None).await;
        test
    }
}

/// A running service, as its callers see it.
pub struct TestService {
    pub database: TestDatabase,
    proxy: Option<Proxy>,
    pub sandbox: Running,
    pub receiver: Receiver,
    /// Where its settings come from.
    pub variables: Vec<(String, String)>,
    pub settings: Settings,
    pub url: String,
    /// A key with every scope, for every org.
    pub key: String,
    pub client: Client,
    service: Option<Service>,
}

impl TestService {
    /// The plain setup.
    pub async fn start() -> Self {
        Setup::new().start().await
    }

    /// The way to the database of a service that is behind one.
    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().unwrap()
    }

    /// Where it tells its health beside its own address.
    pub fn health_url(&self) -> String {
        format!("http://{}", self.service.as_ref().unwrap().health_address().unwrap())
    }

    /// Stops the service alone: database, Genesys and receiver stay.
    pub async fn stop_service(&mut self) {
        if let Some(service) = self.service.take() {
            service.stop().await;
        }
    }

    /// Starts it again, with the same settings.
    pub async fn start_service(&mut self) {
        let service = Service::start(&self.settings, &World::machine(), &self.database.place(), Role::All)
            .await
            .unwrap();
        self.url = format!("http://{}", service.address());
        self.service = Some(service);
    }

    /// A store of the test's own, on the same database.
    pub async fn store(&self) -> Store {
        let store = Store::connect(&self.database.place(), 4, new_id(), true).await.unwrap();
        let (promotion, terms) = (app::promotion(&self.settings), app::engine_terms(&self.settings));
        store.check_ground(promotion, &terms).await.unwrap();
        store
    }

    /// Makes a key.
    pub async fn make_key(&self, scopes: &[Scope], orgs: Option<&[&str]>) -> String {
        self.make_key_of("tester", scopes, orgs).await
    }

    /// A key in force with a name of its own.
    pub async fn make_key_of(&self, name: &str, scopes: &[Scope], orgs: Option<&[&str]>) -> String {
        let key = format_key(&World::machine().random_bytes());
        let reach = orgs.map_or_else(Reach::all, |orgs| Reach::of(orgs.iter().copied()));
        let caller = Caller { name: name.to_owned(), scopes: scopes.to_vec(), reach };
        let store = self.store().await;
        store.create_key(&key, &caller).await.unwrap();
        store.close().await;
        key
    }

    /// A request with the key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_as(&self.key, method, path)
    }

    /// A request with another key.
    pub fn request_as(&self, key: &str, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(key)
    }

    /// An upload to `POST /purges`, with the other fields in the query string.
    pub fn upload(&self, media_type: &str, query: &str, body: impl Into<Body>) -> RequestBuilder {
        let request = self.request(Method::POST, &format!("/purges{query}"));
        request.header(reqwest::header::CONTENT_TYPE, media_type).body(body)
    }

    /// `GET`, which must succeed.
    pub async fn get(&self, path: &str) -> Value {
        let response = self.request(Method::GET, path).send().await.unwrap();
        let (status, body) = read(response).await;
        assert_eq!(status, StatusCode::OK, "GET {path}: {body}");
        body
    }

    /// `POST` of JSON; status and body.
    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        read(self.request(Method::POST, path).json(body).send().await.unwrap()).await
    }

    /// Purges these ids; the purge's id.
    pub async fn purge(&self, ids: &[Uuid]) -> Uuid {
        self.purge_with(json!({ "conversationIds": ids })).await
    }

    /// Purges as the body says; the purge's id.
    pub async fn purge_with(&self, body: Value) -> Uuid {
        let (status, body) = self.post("/purges", &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        body["id"].as_str().unwrap().parse().unwrap()
    }

    /// Waits until the purge is final, and reads it.
    pub async fn finished(&self, purge: Uuid) -> Value {
        for _ in 0..3 {
            let body = self.get(&format!("/purges/{purge}?wait=30")).await;
            if ["completed", "failed", "canceled"].contains(&body["state"].as_str().unwrap()) {
                return body;
            }
        }
        panic!("the purge did not end: {}", self.get(&format!("/purges/{purge}")).await);
    }

    /// All conversations of a purge, over all pages.
    pub async fn conversations(&self, purge: Uuid) -> Vec<Value> {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/purges/{purge}/conversations?limit=1000{cursor}")).await;
            rows.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }

    /// Ids of one kind.
    pub fn ids_of(&self, kind: Kind) -> Vec<Uuid> {
        self.sandbox.sandbox().ids_of(kind)
    }

    /// Orders a fault of the simulated Genesys.
    pub fn fault(&self, rule: Value) {
        self.sandbox.sandbox().add_fault(serde_json::from_value(rule).unwrap()).unwrap();
    }

    /// Nothing was done that upstream's rules forbid.
    pub fn assert_no_breach(&self) {
        let breaches = self.sandbox.sandbox().breaches();
        assert!(breaches.is_empty(), "{breaches:#?}");
    }

    /// So many calls of that kind were answered with that status.
    pub fn calls(&self, call: sandbox::Call, status: &str) -> u64 {
        let report = self.sandbox.sandbox().report(0, 500);
        report.counts.get(&call).and_then(|endings| endings.get(status)).copied().unwrap_or_default()
    }
}

/// Status and body; a body that is no JSON comes as a string.
pub async fn read(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, body)
}
