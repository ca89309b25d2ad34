//! Opens a sandbox on a socket, and closes it again.
//!
//! Invariant: a sandbox listens beyond loopback only where it was told so in as many words; a stop ends within its
//! deadline, whatever callers and faults hold open.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::clock::Clock;
use super::line::{Line, Lines};
use super::settings::{Settings, SettingsError};
use super::{Sandbox, http};

/// How long calls under way may take to end once a stop was asked for; then connections are cut.
const STOP_DEADLINE: Duration = Duration::from_secs(3);

/// Why a sandbox does not run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The address can be reached from other machines.
    #[error(
        "the sandbox has no protection: {listen} is not a loopback address, and remote callers were not allowed"
    )]
    NotLoopback {
        /// The address that was asked for.
        listen: SocketAddr,
    },
    /// The settings make no sense.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The address can't be listened on.
    #[error("the sandbox can't listen on {listen}")]
    Listen {
        /// The address that was asked for.
        listen: SocketAddr,
        source: io::Error,
    },
}

/// A sandbox that can be reached. Dropping it cuts all its connections; [`Running::stop`] ends it in order.
#[derive(Debug)]
pub struct Running {
    /// Where it is: both base URL and login URL of the simulated organization, without a slash at its end.
    pub url: String,
    addr: SocketAddr,
    sandbox: Arc<Sandbox>,
    closing: DropGuard,
    lines: DropGuard,
    server: JoinHandle<()>,
}

impl Sandbox {
    /// Makes an organization on the machine's clock and opens it. Port 0 takes a free port.
    pub async fn start(
        settings: Settings,
        listen: SocketAddr,
        allow_remote: bool,
    ) -> Result<Running, SandboxError> {
        let sandbox = Sandbox::new(settings, Clock::machine())?;
        Running::serve(Arc::new(sandbox), listen, allow_remote).await
    }
}

impl Running {
    /// Opens a sandbox that was made before, perhaps with a clock of its own, perhaps one that was stopped.
    pub async fn serve(
        sandbox: Arc<Sandbox>,
        listen: SocketAddr,
        allow_remote: bool,
    ) -> Result<Self, SandboxError> {
        if !allow_remote && !listen.ip().is_loopback() {
            return Err(SandboxError::NotLoopback { listen });
        }
        let refused = |source| SandboxError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let addr = listener.local_addr().map_err(refused)?;
        let (closing, lines) = (CancellationToken::new(), CancellationToken::new());
        let service =
            http::router(Arc::clone(&sandbox), allow_remote).into_make_service_with_connect_info::<Line>();
        let serving = axum::serve(Lines::new(listener, lines.clone(), closing.clone()), service)
            .with_graceful_shutdown(closing.clone().cancelled_owned());
        let server = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the sandbox's server ended");
            }
        });
        Ok(Self {
            url: format!("http://{addr}"),
            addr,
            sandbox,
            closing: closing.drop_guard(),
            lines: lines.drop_guard(),
            server,
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The organization behind it.
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// Takes no more connections, lets calls under way end, and after three seconds cuts what is left.
    pub async fn stop(self) {
        let Self { closing, lines, mut server, .. } = self;
        drop(closing);
        if tokio::time::timeout(STOP_DEADLINE, &mut server).await.is_err() {
            drop(lines);
            if let Err(error) = server.await {
                tracing::error!(%error, "the sandbox's server broke");
            }
        }
    }
}
