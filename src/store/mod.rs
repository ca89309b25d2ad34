//! All the SQL: one folder per aggregate, one file per operation, each a named transaction with typed rows in and out.
//!
//! Lock order everywhere: org, job, slices, purges, then limiter and pace.
//!
//! Invariant: store never speaks HTTP, never calls Genesys, never sleeps; the pool never leaves this folder.

mod acts;
mod bell;
mod caught;
mod connections;
mod deadlines;
mod decode;
pub mod deliveries;
pub mod endpoints;
mod error;
pub mod events;
mod findings;
pub mod holds;
pub mod jobs;
pub mod keys;
pub mod migrations;
mod opening;
pub mod orgs;
pub mod purges;
mod retried;
mod rewind;
pub mod secrets;
mod session;
pub mod slices;
mod statement;
mod tx;
pub mod views;
mod wake;

use std::str::FromStr;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgPool, PgSslMode};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::meters::Meters;
use bell::Bell;
use connections::{ENGINE, Pulse, REQUESTS};
use opening::{Opening, Openings};
use purges::together::Gathering;
use purges::turns::Turns;
use rewind::Grounds;

pub use acts::Done;
pub use bell::AtHome;
pub(crate) use caught::{PANICKED, caught};
pub use connections::PoolState;
pub use deadlines::{Deadlines, Limits};
pub use error::StoreError;
pub use migrations::{Migrated, SchemaAge};
pub use rewind::Rewound;
pub use session::SessionCheck;
pub use tx::Urgency;
pub use wake::Listener;

/// Where the database is.
#[derive(Debug, Clone)]
pub enum Place {
    /// `DATABASE_URL`.
    Url(secrecy::SecretString),
    /// The same behind a pooler, where each transaction may use another session.
    Pooled(secrecy::SecretString),
    /// The embedded server's socket.
    Socket {
        /// The folder of the socket.
        directory: std::path::PathBuf,
        /// The number in the socket's name.
        port: u16,
        /// The user to connect as.
        user: String,
        database: String,
    },
}

impl Place {
    /// Where it is, for people: `db.internal:5432`, or the folder of a socket.
    pub fn whereabouts(&self) -> String {
        let Ok(options) = self.options() else { return "database.url".to_owned() };
        let socket = options.get_socket().map(|folder| folder.display().to_string());
        socket.unwrap_or_else(|| format!("{}:{}", options.get_host(), options.get_port()))
    }

    fn options(&self) -> Result<PgConnectOptions, StoreError> {
        use secrecy::ExposeSecret as _;
        let parsed = |url: &secrecy::SecretString| {
            PgConnectOptions::from_str(url.expose_secret()).map_err(|_| StoreError::BadUrl)
        };
        let options = match self {
            Self::Pooled(url) => return Ok(session::bare(parsed(url)?)),
            Self::Url(url) => parsed(url)?,
            // Every option is set, so that no PG* variable of the environment can override it.
            Self::Socket { directory, port, user, database } => PgConnectOptions::new_without_pgpass()
                .socket(directory)
                .port(*port)
                .username(user)
                .database(database)
                .ssl_mode(PgSslMode::Disable),
        };
        Ok(session::plain(options))
    }
}

/// Makes the ids of new rows: UUIDv7, so that rows that were made together lie together.
pub type NewId = Arc<dyn Fn() -> Uuid + Send + Sync>;

/// The database, as the rest of the service sees it.
#[derive(Clone)]
pub struct Store {
    /// For the engine, so that requests and uploads can never starve it.
    engine: PgPool,
    api: PgPool,
    /// For connections outside the pools.
    options: Arc<PgConnectOptions>,
    openings: Openings,
    deadlines: Deadlines,
    pulse: Pulse,
    bell: Bell,
    /// For requests that do not protect.
    ordinary: Arc<Semaphore>,
    turns: Turns,
    gathering: Gathering,
    grounds: Grounds,
    uses: keys::Uses,
    new_id: NewId,
    meters: Meters,
    /// The operator's receiver is configured, so that its events get deliveries.
    tells_retention: bool,
}

impl Store {
    /// Connects; the connections are shared out half and half between engine and requests.
    pub async fn connect(
        place: &Place,
        max_connections: u32,
        new_id: NewId,
        tells_retention: bool,
    ) -> Result<Self, StoreError> {
        Self::connect_within(Deadlines::default(), place, max_connections, new_id, tells_retention).await
    }

    /// The same, with other waits.
    pub async fn connect_within(
        deadlines: Deadlines,
        place: &Place,
        max_connections: u32,
        new_id: NewId,
        tells_retention: bool,
    ) -> Result<Self, StoreError> {
        let ground = session::survey(place, deadlines.engine.connection).await?;
        let is_pooled = matches!(place, Place::Pooled(_));
        let options = session::durable(place.options()?, &ground, is_pooled);
        let pulse = Pulse::default();
        let pool = |share: u32, limits: Limits| {
            let options = session::limited(options.clone(), limits, &deadlines, is_pooled);
            connections::pool(share, limits, &deadlines, &pulse).connect_lazy_with(options)
        };
        let opening = |limits: Limits| {
            if is_pooled {
                session::opening_of_pooled(&ground, limits, &deadlines)
            } else {
                Opening::direct()
            }
        };
        let openings = Openings { engine: opening(deadlines.engine), requests: opening(deadlines.requests) };
        let engine = pool(max_connections - max_connections / 2, deadlines.engine);
        let api = pool(max_connections / 2, deadlines.requests);
        let ordinary = connections::ordinary(api.options().get_max_connections());
        let telling = (engine.clone(), openings.engine.clone());
        let bell = Bell::new(new_id().to_string(), telling, deadlines.engine, pulse.clone());
        Ok(Self {
            engine,
            ordinary: Arc::new(Semaphore::new(usize::try_from(ordinary).unwrap_or(Semaphore::MAX_PERMITS))),
            turns: Turns::new(ordinary),
            gathering: Gathering::default(),
            grounds: Grounds::default(),
            uses: keys::Uses::default(),
            api,
            options: Arc::new(options),
            openings,
            deadlines,
            pulse,
            bell,
            new_id,
            meters: Meters::silent(),
            tells_retention,
        })
    }

    /// Records what it does there.
    #[must_use]
    pub fn measured(self, meters: Meters) -> Self {
        Self { meters, ..self }
    }

    /// The connections at this moment.
    pub fn pools(&self) -> [PoolState; 2] {
        [PoolState::of(ENGINE, &self.engine), PoolState::of(REQUESTS, &self.api)]
    }

    pub async fn close(&self) {
        // A connection that swallows bytes must not keep the process.
        let all = async { tokio::join!(self.engine.close(), self.api.close()) };
        if tokio::time::timeout(self.deadlines.close, all).await.is_err() {
            tracing::warn!("the connections to the database did not close in time");
        }
    }

    fn new_id(&self) -> Uuid {
        (self.new_id)()
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
