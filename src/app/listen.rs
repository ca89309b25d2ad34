//! Carries word of work to whoever waits for it: from this process itself, and from others over the database. A lost
//! connection costs time, nothing else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::engine::Wakes;
use crate::store::{Store, StoreError, deliveries};

const RECONNECT_AFTER: Duration = Duration::from_secs(5);

/// Those who wait for work in this process.
#[derive(Clone)]
pub(super) struct Waiting {
    pub(super) wakes: Wakes,
    pub(super) deliveries: Option<Arc<Notify>>,
}

impl Waiting {
    fn wake(&self, name: &str) {
        if deliveries::is_wake(name) {
            self.wake_deliveries();
        } else {
            self.wakes.wake(name);
        }
    }

    fn wake_all(&self) {
        self.wakes.wake_all();
        self.wake_deliveries();
    }

    fn wake_deliveries(&self) {
        if let Some(deliveries) = &self.deliveries {
            deliveries.notify_one();
        }
    }
}

/// Has them told at once of what this process makes, and of what others make until it is told to stop.
pub(super) async fn forward(store: Store, waiting: Waiting, stop: CancellationToken) {
    let at_home = waiting.clone();
    store.tell_at_home(Box::new(move |name| at_home.wake(name)));
    while !stop.is_cancelled() {
        let heard = stop.run_until_cancelled(hear(&store, &waiting)).await;
        if let Some(Err(error)) = heard {
            tracing::warn!(%error, "notifications are not heard; work is found by looking, a little later");
            stop.run_until_cancelled(tokio::time::sleep(RECONNECT_AFTER)).await;
        }
    }
}

async fn hear(store: &Store, waiting: &Waiting) -> Result<(), StoreError> {
    let mut listener = store.listen().await?;
    // Before it listened, others may have told of something.
    waiting.wake_all();
    loop {
        match listener.next().await? {
            Some(name) => waiting.wake(&name),
            None => waiting.wake_all(),
        }
    }
}
