//! Passes notifications of new work to the dispatchers: from this process, and from others through the database. A
//! lost connection only costs time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::engine::Wakes;
use crate::store::events::stamp;
use crate::store::{Store, StoreError, deliveries};

const RECONNECT_AFTER: Duration = Duration::from_secs(5);

/// What is told where nothing is heard.
const DEAF: &str = "notifications of the database do not come through, as behind a pooler; work of other processes is found by polling, four times a second";

/// Those who wait for work in this process.
#[derive(Clone)]
pub(super) struct Waiting {
    /// Those of the engine; of nobody, where this process has none.
    pub(super) wakes: Wakes,
    pub(super) deliveries: Option<Arc<Notify>>,
    /// The sequencer.
    pub(super) written: Arc<Notify>,
    /// Event streams.
    pub(super) live: Arc<Notify>,
}

impl Waiting {
    /// Those whom every process has.
    pub(super) fn new(written: Arc<Notify>, live: Arc<Notify>) -> Self {
        Self { wakes: Wakes::default(), deliveries: None, written, live }
    }

    fn wake(&self, name: &str) {
        if deliveries::is_wake(name) {
            self.wake_deliveries();
        } else if stamp::is_written(name) {
            self.written.notify_one();
        } else if stamp::is_stamped(name) {
            self.live.notify_one();
        } else {
            self.wakes.wake(name);
        }
    }

    fn wake_all(&self) {
        self.wakes.wake_all();
        self.wake_deliveries();
        self.written.notify_one();
        self.live.notify_one();
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
    if !store.may_hear() {
        tracing::warn!("{DEAF}");
        return;
    }
    let mut is_told = false;
    while !stop.is_cancelled() {
        let heard = stop.run_until_cancelled(hear(&store, &waiting)).await;
        waiting.wakes.are_heard(false);
        match heard {
            Some(Ok(Deaf)) if !is_told => tracing::warn!("{DEAF}"),
            Some(Err(ref error)) => {
                tracing::warn!(%error, "can't listen for notifications of the database; work is found by polling, a little later");
            }
            _ => {}
        }
        is_told = matches!(heard, Some(Ok(Deaf)));
        stop.run_until_cancelled(tokio::time::sleep(RECONNECT_AFTER)).await;
    }
}

/// It listens, and hears nothing.
struct Deaf;

async fn hear(store: &Store, waiting: &Waiting) -> Result<Deaf, StoreError> {
    let mut listener = store.listen().await?;
    if !listener.hears().await? {
        return Ok(Deaf);
    }
    waiting.wakes.are_heard(true);
    // Before it listened, others may have told of something.
    waiting.wake_all();
    loop {
        match listener.next().await? {
            Some(name) => waiting.wake(&name),
            None => waiting.wake_all(),
        }
    }
}
