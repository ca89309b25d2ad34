//! Corrects times that are further in the future than the service ever writes: the database's clock was ahead for a
//! while and was set back, and work would wait that long.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// An org waits no longer for one of them than for this and the longest wait that there is.
const EVERY: Duration = Duration::from_secs(15);

/// Finds such times, and moves them back to the maximum.
pub async fn run(store: Store, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        look(&store).await;
    }
}

/// Looks once.
pub async fn look(store: &Store) {
    match store.bring_back_times().await {
        Ok(0) => {}
        Ok(orgs) => tracing::warn!(
            orgs,
            "the database's clock was set back; waits of orgs that end too late are shortened"
        ),
        Err(error) => tracing::error!(%error, "could not look for waits that end too late"),
    }
}
