//! Removes expired idempotency keys, so that the table holds only a week of them.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::Store;

const EVERY: Duration = Duration::from_hours(1);

/// Looks for them now and then.
pub async fn run(store: Store, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        match store.forget_repeats().await {
            Ok(0) => {}
            Ok(forgotten) => tracing::debug!(forgotten, "removed old idempotency keys"),
            Err(error) => tracing::error!(%error, "old idempotency keys could not be removed"),
        }
    }
}
