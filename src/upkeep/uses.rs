//! Writes when keys were last used, if there is something to write.

use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// Writes until the stop, then the rest.
pub async fn run(store: Store, stop: CancellationToken) {
    loop {
        let goes_on = stop.run_until_cancelled(store.key_used()).await.is_some();
        if let Err(error) = store.write_key_uses().await {
            tracing::debug!(%error, "when keys were used last could not be written");
        }
        if !goes_on {
            return;
        }
    }
}
