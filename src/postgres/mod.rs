//! The embedded database: a real Postgres server, run from the programs that this machine has or that are fetched
//! for it, so that the service, its demo and its tests need nothing set up.
//!
//! The server listens on a Unix socket that only its owner can reach. A shell that waits on a pipe stands between it
//! and this process ([`supervisor`]): when this process ends, in whatever way, the pipe closes and the server shuts
//! down cleanly.
//!
//! Invariant: nothing here speaks SQL or the Postgres protocol; who connects is given an [`Address`].

mod account;
mod archive;
mod binaries;
mod error;
mod folders;
mod install;
mod lock;
mod log;
mod postmaster;
mod settings;
mod supervisor;
#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use folders::Ground;
use lock::DirectoryLock;
use log::ServerLog;
use postmaster::Postmaster;
use supervisor::{Orders, POLL, Patience, Supervisor};

pub use archive::{Archive, ArchiveError, Haste, default_cache};
pub use binaries::Binaries;
pub use error::PostgresError;
pub use folders::{Storage, default_data_dir, has_data};
pub use settings::Durability;

/// The superuser of every embedded server; who can reach the socket is trusted to be it.
const SUPERUSER: &str = "genesys_purge";
/// After a crash the server replays up to 2 GB of write-ahead log before it is ready.
const READY_WITHIN: Duration = Duration::from_mins(5);

/// How to reach a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The folder of the socket.
    pub socket_directory: PathBuf,
    /// The port, which is part of the socket's name; there is no TCP.
    pub port: u16,
    /// The superuser, who needs no password.
    pub user: String,
}

/// A running server. It is stopped by [`Server::stop`]; letting go of it, also by a panic or by the death of this
/// process, stops it too, a moment later.
#[derive(Debug)]
pub struct Server {
    address: Address,
    cluster: PathBuf,
    log: ServerLog,
    /// Ends with this value.
    rotation: AbortOnDropHandle<()>,
    patience: Patience,
    // Before the lock: the server is told to stop, and then another start may come and wait for it.
    supervisor: Supervisor,
    lock: Option<DirectoryLock>,
}

impl Server {
    /// Starts a server, making its data first where there are none, and returns when it accepts connections.
    ///
    /// A server that was left behind on the same data directory is stopped first. Dropping the future stops what
    /// it has begun.
    pub async fn start(
        binaries: &Binaries,
        storage: Storage,
        durability: Durability,
    ) -> Result<Server, PostgresError> {
        Server::start_patiently(binaries, storage, durability, Patience::USUAL).await
    }

    async fn start_patiently(
        binaries: &Binaries,
        storage: Storage,
        durability: Durability,
        patience: Patience,
    ) -> Result<Server, PostgresError> {
        let ground = {
            let binaries = binaries.clone();
            off_the_runtime(move || Ground::prepare(&binaries, &storage, patience)).await?
        };
        let socket_directory = ground.run_directory.path().to_owned();
        let supervisor = Supervisor::start(
            Orders {
                account: &ground.account,
                programs: &ground.programs,
                search_path: binaries.search_path(),
                cluster: &ground.cluster,
                run_directory: &socket_directory,
                superuser: SUPERUSER,
                durability,
                patience,
                server_arguments: settings::server_arguments(durability, &socket_directory),
            },
            &ground.log,
        )?;
        // From here on the supervisor removes it.
        let _ = ground.run_directory.keep();
        let mut server = Server {
            address: Address { socket_directory, port: settings::PORT, user: SUPERUSER.to_owned() },
            cluster: ground.cluster,
            rotation: AbortOnDropHandle::new(tokio::spawn(ground.log.clone().keep_small())),
            log: ground.log,
            patience,
            supervisor,
            lock: ground.lock,
        };
        server.until_ready().await?;
        if durability == Durability::Full {
            // Before anyone has written anything: else a crash of the machine could bring back the state in which
            // the data had no name yet, and the next start would make new ones. At every start, because the one that
            // made them may have been given up before it came here.
            let cluster = server.cluster.clone();
            off_the_runtime(move || folders::sync_names(&cluster)).await?;
        }
        Ok(server)
    }

    /// Postgres writes its progress into a file; what an earlier server wrote there was cleared away.
    async fn until_ready(&mut self) -> Result<(), PostgresError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if self.supervisor.ended()?.is_some() {
                return Err(PostgresError::Died { log: self.log.tail() });
            }
            if Postmaster::read(&self.cluster)?.is_some_and(|postmaster| postmaster.is_ready) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(PostgresError::NotReady {
                    seconds: READY_WITHIN.as_secs(),
                    log: self.log.tail(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// How to reach it.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Stops the server and waits for it: first so that it ends all sessions and writes everything out, then without
    /// writing out, then by force. Temporary data are gone afterwards.
    ///
    /// Says so when the server did not shut down cleanly; it is gone all the same.
    pub async fn stop(self) -> Result<(), PostgresError> {
        let Server { address, cluster, log, rotation, patience, supervisor, lock } = self;
        let status = supervisor.stop().await?;
        drop(rotation);
        off_the_runtime(move || {
            // Both are done already, unless the supervisor itself was killed.
            let ended = postmaster::end(&cluster, patience);
            folders::remove_run_directory(&address.socket_directory);
            drop(lock);
            ended
        })
        .await?;
        match status {
            Some(status) if status.success() => Ok(()),
            _ => Err(PostgresError::UncleanStop { log: log.tail() }),
        }
    }
}

/// The server that runs on a data directory, started by whatever process, if one runs there and is ready.
pub fn running(data_dir: &Path) -> Result<Option<Address>, PostgresError> {
    let Some(postmaster) = Postmaster::read(&folders::cluster_in(data_dir))? else { return Ok(None) };
    let socket = postmaster.socket();
    match UnixStream::connect(&socket) {
        Ok(_) if postmaster.is_ready => Ok(Some(Address {
            socket_directory: postmaster.socket_directory,
            port: postmaster.port,
            user: SUPERUSER.to_owned(),
        })),
        Ok(_) => Ok(None),
        // A server that was killed leaves its file, and perhaps its socket, behind.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Ok(None)
        }
        Err(error) => Err(PostgresError::io("connect to", &socket)(error)),
    }
}

/// Runs what waits for disks or processes where it holds up nobody.
async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // Nobody aborts it, so it can only have panicked.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
