//! Which database a command works on: the one that `DATABASE_URL` names, or the embedded server of a data directory.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use crate::config::{ConfigError, DatabaseSettings, Environment, Pooler, Settings, Sources};
use crate::postgres::{
    self, Address, Archive, Binaries, Durability, Haste, PostgresError, Server, Storage, default_cache,
};
use crate::store::migrations::ensure_database;
use crate::store::{Place, StoreError};

const DATABASE: &str = "genesys_purge";

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// Where its programs come from.
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(
        "database.archive_sha256 is needed beside database.archive_url: no checksum is built in for {os} on {arch}"
    )]
    NoChecksum { os: &'static str, arch: &'static str },
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
        Self::start(archive(&settings.database)?, environment, storage, Durability::Full).await
    }

    /// An embedded server, whatever is configured; only the environment says where its programs come from.
    pub async fn embedded(
        environment: &Environment,
        storage: Storage,
        durability: Durability,
    ) -> Result<Self, DatabaseError> {
        Self::start(archive(&told_by(environment)?)?, environment, storage, durability).await
    }

    async fn start(
        archive: Option<Archive>,
        environment: &Environment,
        storage: Storage,
        durability: Durability,
    ) -> Result<Self, DatabaseError> {
        let (path, cache) = (environment.path(), default_cache());
        let binaries = Binaries::find_or_fetch(path, archive.as_ref(), &cache, Haste::USUAL).await?;
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

/// Where the programs come from on a machine that has none; none: they are not fetched.
pub(super) fn archive(settings: &DatabaseSettings) -> Result<Option<Archive>, DatabaseError> {
    let Some(url) = &settings.archive_url else { return Ok(None) };
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let sha256 = settings.archive_sha256.or_else(Archive::known_sha256);
    let sha256 = sha256.ok_or(DatabaseError::NoChecksum { os, arch })?;
    Ok(Some(Archive { url: url.expose_secret().to_owned(), sha256 }))
}

/// Of the environment, what says where programs come from, and nothing else.
fn told_by(environment: &Environment) -> Result<DatabaseSettings, ConfigError> {
    let names = ["PURGE__DATABASE__ARCHIVE_URL", "PURGE__DATABASE__ARCHIVE_SHA256"];
    let told = names.into_iter().filter_map(|name| environment.get(name).map(|value| (name, value)));
    // A folder that is not there: no file says anything.
    let working_dir = PathBuf::from("/nonexistent");
    let sources = Sources { config_file: None, working_dir, environment: told.collect() };
    Ok(Settings::load(&sources)?.database)
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
