//! Which database a command works on: the one that `DATABASE_URL` names, or the embedded server of a data directory.

use std::path::Path;

use crate::config::{Environment, Pooler, Settings};
use crate::postgres::{self, Address, Binaries, Durability, PostgresError, Server, Storage};
use crate::store::migrations::ensure_database;
use crate::store::{Place, StoreError};

const DATABASE: &str = "genesys_purge";

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The database in it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The database of one command.
#[derive(Debug)]
pub struct Database {
    pub place: Place,
    server: Option<Server>,
}

impl Database {
    /// The configured database; else an embedded server on the data directory, which this command starts and owns.
    pub async fn own(
        settings: &Settings,
        environment: &Environment,
        storage: Storage,
    ) -> Result<Self, DatabaseError> {
        if let Some(place) = configured(settings) {
            return Ok(Self { place, server: None });
        }
        Self::embedded(environment, storage, Durability::Full).await
    }

    /// An embedded server, whatever is configured.
    pub async fn embedded(
        environment: &Environment,
        storage: Storage,
        durability: Durability,
    ) -> Result<Self, DatabaseError> {
        let binaries = Binaries::find(environment.path())?;
        let server = Server::start(&binaries, storage, durability).await?;
        let place = place(server.address());
        ensure_database(&place).await?;
        Ok(Self { place, server: Some(server) })
    }

    /// The configured database; else the server that `serve` runs on the data directory; else one that this command
    /// starts for itself.
    pub async fn find(
        settings: &Settings,
        environment: &Environment,
        data_dir: &Path,
    ) -> Result<Self, DatabaseError> {
        if settings.database.url.is_none()
            && let Some(address) = postgres::running(data_dir)?
        {
            return Ok(Self { place: place(&address), server: None });
        }
        Self::own(settings, environment, Storage::Kept(data_dir.to_owned())).await
    }

    /// It is an embedded server that this command owns: nobody else brings its schema up to date.
    pub fn is_own(&self) -> bool {
        self.server.is_some()
    }

    /// Stops the server, if this command started it.
    pub async fn stop(self) -> Result<(), PostgresError> {
        match self.server {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }
}

/// The one that the settings name.
pub(super) fn configured(settings: &Settings) -> Option<Place> {
    let url = settings.database.url.clone()?;
    Some(match settings.database.pooler {
        Pooler::None => Place::Url(url),
        Pooler::Transaction => Place::Pooled(url),
    })
}

pub(super) fn place(address: &Address) -> Place {
    Place::Socket {
        directory: address.socket_directory.clone(),
        port: address.port,
        user: address.user.clone(),
        database: DATABASE.to_owned(),
    }
}
