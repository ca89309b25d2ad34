//! The service as a whole: what its parts are handed, and the order of start and stop.
//!
//! Start: database, rules, engine, deliveries, upkeep, HTTP. Stop: no more requests, then the engine drains, then
//! deliveries, notifications and upkeep, then running streams for a moment, and last the database, so that no step
//! loses it.

mod database;
mod deliveries;
pub mod doctor;
pub mod files;
mod fitness;
mod listen;
pub mod memory;
mod terms;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use listen::Waiting;

pub use database::{Database, DatabaseError};
pub use deliveries::retention_secret;
pub use terms::{engine_terms, org_terms, policy, promotion};
pub use world::World;

use crate::admin::{self, Invitations};
use crate::api::{
    self, ApiState, Calls, ConnectionTerms, Followed, IntakeTerms, Live, MetricsDesk, Pages, QuotaTerms,
    Quotas, Room,
};
use crate::config::{MetricsAccess, OrgSettings, Settings};
use crate::engine::{Chance, Engine, OrgEngine};
use crate::feed::Sequencer;
use crate::genesys::analytics_purge::{self, AnalyticsPurge, SettingsError};
use crate::meters::Meters;
use crate::store::purges::load::PAUSED;
use crate::store::{Deadlines, Place, Store, StoreError};
use crate::traces::{Traces, TracesError};
use crate::upkeep;
use crate::upkeep::ground::Watch;
use crate::upkeep::rules::Rules;
use crate::upkeep::workers::Worker;
use crate::webhooks::{SecretError, SendError, Sender};

/// The role of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    All,
    Api,
    /// Does the work; of requests, only those for health and metrics.
    Worker,
}

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No HTTP client for an org.
    #[error("orgs.{org}: {source}")]
    Upstream { org: String, source: SettingsError },
    #[error("webhooks.secret: {0}")]
    Secret(#[from] SecretError),
    /// No HTTP client for webhooks.
    #[error("webhooks: {0}")]
    Sender(#[from] SendError),
    #[error("telemetry.otlp_endpoint: {0}")]
    Traces(#[from] TracesError),
    /// The address to listen on.
    #[error("{setting} = {bind}: {source}")]
    Bind { setting: &'static str, bind: SocketAddr, source: std::io::Error },
}

#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    health_address: Option<SocketAddr>,
    http: TaskTracker,
    background: TaskTracker,
    stop_http: CancellationToken,
    stop_background: CancellationToken,
    /// Parts that do not end in time after the stop.
    cut: CancellationToken,
    engine: Option<Engine>,
    store: Store,
    traces: Traces,
    invitations: Invitations,
}

/// Whom the service waits for, and how long.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patience {
    pub callers: ConnectionTerms,
    pub database: Deadlines,
}

/// How long the parts other than the engine may take to end.
const PARTING: Duration = Duration::from_secs(5);
/// So many connections wait for the service to accept them: the system has whoever finds no room there try again, later each
/// time.
const BACKLOG: u32 = 4096;
/// So many bytes of its answers the system keeps for a peer, and as many for what that costs it: where nobody reads, thousands of
/// connections are not to take the memory that others need.
const SEND_BUFFER: u32 = 256 * 1024;

impl Service {
    /// Starts the service on a database whose schema is current.
    pub async fn start(
        settings: &Settings,
        world: &World,
        place: &Place,
        role: Role,
    ) -> Result<Self, StartError> {
        Self::start_on(settings, world, place, role, Patience::default()).await
    }

    /// The same, with other patience.
    pub async fn start_on(
        settings: &Settings,
        world: &World,
        place: &Place,
        role: Role,
        patience: Patience,
    ) -> Result<Self, StartError> {
        let meters = Meters::new(settings.orgs.keys().map(String::as_str));
        let store = connect_within(patience.database, settings, world, place).await?.measured(meters.clone());
        fitness::check(&store).await?;
        let traces = traces(settings, world)?;
        let terms = engine_terms(settings);
        let rules = Rules::new(settings.orgs.keys().cloned().collect(), policy(settings), role == Role::Api);
        rules.bring(&store).await?;
        let ground = Watch::new(store.clone(), promotion(settings), terms, meters.clone(), rules);
        ground.look().await?;
        let [stop_http, stop_background, cut] = [(); 3].map(|()| CancellationToken::new());
        let (http, background) = (TaskTracker::new(), TaskTracker::new());
        let engine = match role {
            Role::Api => None,
            Role::All | Role::Worker => Some(start_engine(settings, world, &store, &meters, &traces)?),
        };
        background.spawn(upkeep::meters::run(meters.clone(), stop_background.clone()));
        background.spawn(upkeep::uses::run(store.clone(), stop_background.clone()));
        background.spawn(ground.run(stop_background.clone()));
        let sequencer = Sequencer::new(store.clone());
        let live = Live::new(store.clone(), stop_http.clone());
        let mut waiting = Waiting::new(sequencer.written(), live.wake());
        background.spawn(sequencer.run(stop_background.clone()));
        let sender = deliveries::sender(settings)?;
        if let Some(engine) = &engine {
            let courier = deliveries::start(settings, world, &store, &meters, sender.clone()).await?;
            let courier = courier.traced(traces.clone());
            waiting.deliveries = Some(courier.wake());
            waiting.wakes = engine.wakes();
            background.spawn(courier.run(stop_background.clone(), cut.clone()));
            background.spawn(upkeep::ahead::run(store.clone(), stop_background.clone()));
            background.spawn(upkeep::repeats::run(store.clone(), stop_background.clone()));
            let orgs: Vec<String> = settings.orgs.keys().cloned().collect();
            start_worker(world, &store, &background, &stop_background, orgs.clone(), terms.paused).await?;
            background.spawn(upkeep::leases::run(
                store.clone(),
                orgs,
                terms,
                engine.wakes(),
                stop_background.clone(),
            ));
        }
        background.spawn(listen::forward(store.clone(), waiting, stop_background.clone()));
        let calls = if role == Role::Worker { Calls::Operations } else { Calls::All };
        let state = api_state(settings, world, meters, live, patience.callers, &store, sender);
        let state = ApiState { calls, traces: traces.clone(), ..state };
        let invitations = Invitations::default();
        let pages = admin::pages(&state, world.random(), invitations.clone());
        let (address, health_address) = serve(settings, state, pages, &http, &stop_http)?;
        background.close();
        Ok(Self {
            address,
            health_address,
            http,
            background,
            stop_http,
            stop_background,
            cut,
            engine,
            store,
            traces,
            invitations,
        })
    }

    /// The address of a link that signs in to the admin page once, with this key, within a quarter of an hour.
    pub fn sign_in_link(&self, world: &World, key_id: Uuid) -> String {
        let path = self.invitations.invite(world.random_bytes(), key_id, (world.clock())());
        format!("http://{}{path}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The second address for health and metrics.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health_address
    }

    /// Drains and stops: no new requests, no new claims; running work may finish within the grace.
    pub async fn stop(self) {
        self.stop_http.cancel();
        if let Some(engine) = self.engine {
            engine.stop().await;
        }
        self.stop_background.cancel();
        if tokio::time::timeout(PARTING, self.background.wait()).await.is_err() {
            tracing::warn!("webhook attempts under way are cut off; they are repeated");
            self.cut.cancel();
            // A database that is away is not waited for.
            let _ = tokio::time::timeout(PARTING, self.background.wait()).await;
        }
        // Requests that still stream are cut with the process; their spools vanish, nothing of them was accepted.
        if tokio::time::timeout(PARTING, self.http.wait()).await.is_err() {
            tracing::warn!("some requests did not end in time and are cut off");
        }
        self.store.close().await;
        self.traces.stop().await;
    }
}

/// Where traces go, if anywhere.
fn traces(settings: &Settings, world: &World) -> Result<Traces, StartError> {
    match &settings.telemetry.otlp_endpoint {
        Some(endpoint) => Ok(Traces::start(endpoint.as_str(), world.random())?),
        None => Ok(Traces::default()),
    }
}

/// Notes this process among those that work; one that is paused says so.
async fn start_worker(
    world: &World,
    store: &Store,
    background: &TaskTracker,
    stop: &CancellationToken,
    orgs: Vec<String>,
    is_paused: bool,
) -> Result<(), StoreError> {
    if is_paused {
        tracing::warn!("{PAUSED}");
    }
    let worker = Worker { id: world.new_id()(), orgs, is_paused };
    worker.note(store).await?;
    background.spawn(upkeep::workers::run(store.clone(), worker, stop.clone()));
    Ok(())
}

/// Serves API and pages, and health at an address of its own if the settings say so; returns both addresses.
fn serve(
    settings: &Settings,
    state: ApiState,
    pages: Pages,
    http: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(SocketAddr, Option<SocketAddr>), StartError> {
    let (address, listener) = bind("server.bind", settings.server.bind)?;
    let mut health_address = None;
    if let Some(health_bind) = settings.server.health_bind {
        let (address, listener) = bind("server.health_bind", health_bind)?;
        health_address = Some(address);
        let state = ApiState { calls: Calls::Operations, ..state.clone() };
        http.spawn(api::serve(listener, state, Pages::default(), stop.clone()));
    }
    http.spawn(api::serve(listener, state, pages, stop.clone()));
    http.close();
    Ok((address, health_address))
}

fn bind(setting: &'static str, bind: SocketAddr) -> Result<(SocketAddr, TcpListener), StartError> {
    listen(bind).map_err(|source| StartError::Bind { setting, bind, source })
}

fn listen(bind: SocketAddr) -> io::Result<(SocketAddr, TcpListener)> {
    let socket = if bind.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Each connection inherits it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(bind)?;
    let listener = socket.listen(BACKLOG)?;
    Ok((listener.local_addr()?, listener))
}

/// Connects to the database.
pub async fn connect(settings: &Settings, world: &World, place: &Place) -> Result<Store, StoreError> {
    connect_within(Deadlines::default(), settings, world, place).await
}

async fn connect_within(
    deadlines: Deadlines,
    settings: &Settings,
    world: &World,
    place: &Place,
) -> Result<Store, StoreError> {
    let (most, tells_retention) = (settings.database.max_connections, settings.webhooks.url.is_some());
    Store::connect_within(deadlines, place, most, world.new_id(), tells_retention).await
}

/// The client of an org; nothing is called yet.
fn driver(name: &str, org: &OrgSettings, world: &World) -> Result<AnalyticsPurge, SettingsError> {
    let wire = analytics_purge::Settings {
        org: name.to_owned(),
        base_url: org.base_url.to_string(),
        login_url: org.login_url.to_string(),
        client_id: org.client_id.clone(),
        client_secret: org.client_secret.clone(),
    };
    AnalyticsPurge::new(wire, world.clock())
}

fn start_engine(
    settings: &Settings,
    world: &World,
    store: &Store,
    meters: &Meters,
    traces: &Traces,
) -> Result<Engine, StartError> {
    let terms = engine_terms(settings);
    let orgs = settings.orgs.iter().map(|(name, org)| {
        let upstream = driver(name, org, world)
            .map_err(|source| StartError::Upstream { org: name.clone(), source })?
            .measured(meters.clone());
        let chance = Chance::new(world.seed());
        let org = OrgEngine::new(
            org_terms(name, org),
            terms,
            Arc::new(upstream),
            store.clone(),
            world.clock(),
            chance,
        );
        Ok(org.measured(meters.clone()).traced(traces.clone()))
    });
    let orgs = orgs.collect::<Result<Vec<_>, StartError>>()?;
    Ok(Engine::start(orgs, terms.workers, terms.shutdown_grace))
}

fn api_state(
    settings: &Settings,
    world: &World,
    meters: Meters,
    live: Live,
    connections: ConnectionTerms,
    store: &Store,
    sender: Sender,
) -> ApiState {
    let is_open = settings.telemetry.metrics == MetricsAccess::Open;
    ApiState {
        store: store.clone(),
        orgs: settings.orgs.iter().map(|(name, org)| org_terms(name, org)).collect(),
        intake: IntakeTerms {
            spool_dir: settings.intake.spool_dir.clone(),
            max_ids: settings.intake.max_ids,
            max_json: usize::try_from(settings.intake.max_json.bytes()).unwrap_or(usize::MAX),
            upload_timeout: settings.intake.upload_timeout,
            min_rate: settings.intake.min_rate.bytes(),
        },
        request_timeout: settings.server.request_timeout,
        connections,
        room: Room::new(&connections),
        quotas: Quotas::new(QuotaTerms {
            a_minute: settings.intake.purges_per_minute,
            open: settings.intake.open_purges_per_key,
        }),
        ends: Followed::default(),
        keys: Followed::default(),
        live,
        new_id: world.new_id(),
        metrics: Arc::new(MetricsDesk::new(meters, is_open)),
        hooks: deliveries::hooks(settings, world, sender),
        calls: Calls::All,
        traces: Traces::default(),
    }
}
