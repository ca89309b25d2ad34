//! All the SQL: a folder an aggregate, a file an operation, one named transaction each, typed rows in and out.
//!
//! Lock order everywhere: org, job, slices, purges, then limiter and pace.
//!
//! Invariant: store never speaks HTTP, never asks Genesys, never sleeps; the pool never leaves this folder.

mod decode;
pub mod deliveries;
mod error;
mod events;
mod findings;
pub mod holds;
pub mod jobs;
pub mod keys;
pub mod migrations;
pub mod orgs;
pub mod purges;
mod secrets;
mod session;
pub mod slices;
mod tx;
pub mod views;
mod wake;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgSslMode};
use uuid::Uuid;

use crate::meters::Meters;
use purges::turns::Turns;
use session::Pulse;

pub use error::StoreError;
pub use wake::Listener;

/// Where the database is.
#[derive(Debug, Clone)]
pub enum Place {
    /// `DATABASE_URL`.
    Url(secrecy::SecretString),
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
    fn options(&self) -> Result<PgConnectOptions, StoreError> {
        use secrecy::ExposeSecret as _;
        let options = match self {
            Self::Url(url) => {
                PgConnectOptions::from_str(url.expose_secret()).map_err(|_| StoreError::BadUrl)?
            }
            // Everything is said, so that no PG* variable of the environment can lead elsewhere.
            Self::Socket { directory, port, user, database } => PgConnectOptions::new_without_pgpass()
                .socket(directory)
                .port(*port)
                .username(user)
                .database(database)
                .ssl_mode(PgSslMode::Disable),
        };
        Ok(session::options(options))
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
    options: PgConnectOptions,
    pulse: Pulse,
    turns: Turns,
    new_id: NewId,
    meters: Meters,
    /// The operator's receiver is configured, so that events owe it a delivery.
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
        let options = place.options()?;
        let pulse = Pulse::default();
        let engine = session::pool(max_connections - max_connections / 2, &pulse)
            .connect_with(options.clone())
            .await
            .map_err(|source| StoreError::Database { transaction: "connect", source })?;
        let api = session::pool(max_connections / 2, &pulse).connect_lazy_with(options.clone());
        let turns = Turns::new(usize::try_from(max_connections / 4).unwrap_or_default());
        Ok(Self { engine, api, options, pulse, turns, new_id, meters: Meters::silent(), tells_retention })
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
        if tokio::time::timeout(CLOSE_DEADLINE, all).await.is_err() {
            tracing::warn!("the connections to the database did not close in time");
        }
    }

    fn new_id(&self) -> Uuid {
        (self.new_id)()
    }
}

/// All connections are closed by then, or left as they are.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// What the two pools are called.
const ENGINE: &str = "engine";
const REQUESTS: &str = "requests";

/// The connections of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Whose it is: `engine` or `requests`.
    pub name: &'static str,
    /// Connections that nobody uses.
    pub idle: u32,
    /// Connections that somebody uses, or that are being made.
    pub in_use: u32,
    /// As many as it may have.
    pub max: u32,
}

impl PoolState {
    fn of(name: &'static str, pool: &PgPool) -> Self {
        // The two are not read at one moment.
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX).min(pool.size());
        let in_use = pool.size().saturating_sub(idle);
        Self { name, idle, in_use, max: pool.options().get_max_connections() }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
