//! Waits until somebody wants this process to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM, kept from the moment at which this is made: one that comes while nobody waits is not lost.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on these signals end the process only when the command sees fit.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Returns when one of them has come.
    pub(super) async fn told_to_stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
