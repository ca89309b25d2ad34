//! Carries notifications of the database to whoever waits for work. A lost connection costs time, nothing else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::engine::Wakes;
use crate::store::{Listener, Place, StoreError, deliveries};

const RECONNECT_AFTER: Duration = Duration::from_secs(5);

/// Listens until it is told to stop.
pub(super) async fn forward(
    place: Place,
    wakes: Wakes,
    deliveries: Option<Arc<Notify>>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let heard = stop.run_until_cancelled(hear(&place, &wakes, deliveries.as_deref())).await;
        if let Some(Err(error)) = heard {
            tracing::warn!(%error, "notifications are not heard; work is found by looking, a little later");
            stop.run_until_cancelled(tokio::time::sleep(RECONNECT_AFTER)).await;
        }
    }
}

async fn hear(place: &Place, wakes: &Wakes, deliveries: Option<&Notify>) -> Result<(), StoreError> {
    let mut listener = Listener::connect(place).await?;
    loop {
        match listener.next().await? {
            Some(payload) if deliveries::is_wake(&payload) => {
                if let Some(deliveries) = deliveries {
                    deliveries.notify_one();
                }
            }
            Some(org) => wakes.wake(&org),
            None => wakes.wake_all(),
        }
    }
}
