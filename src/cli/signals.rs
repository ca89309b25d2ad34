//! Waits until somebody wants this process to end.

use tokio::signal::unix::{SignalKind, signal};

/// Returns on SIGINT or SIGTERM.
pub(super) async fn told_to_stop() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
