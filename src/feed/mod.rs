//! The sequencer: gives events their numbers in the feed once they are committed. Every process has one, whatever its role, and
//! all of them together do the work of one.
//!
//! Invariant: feed never writes an event, and nothing but readers of the feed waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::store::events::stamp::Stamping;
use crate::store::{Store, StoreError};

/// Events per transaction.
const BATCH: i64 = 2000;
/// How soon events of a process that died, or has no sequencer, are found.
const EVERY: Duration = Duration::from_secs(1);
/// The pause between two transactions of one process: events written meanwhile go together.
const REST: Duration = Duration::from_millis(20);
/// Another process that is stamping may have read too early: the first retry, then with backoff.
const AGAIN: Duration = Duration::from_millis(5);

/// Numbers this process' events at once, and remaining events of others a little later.
#[derive(Debug)]
pub struct Sequencer {
    store: Store,
    written: Arc<Notify>,
}

impl Sequencer {
    pub fn new(store: Store) -> Self {
        Self { store, written: Arc::default() }
    }

    /// The notification of written events.
    pub fn written(&self) -> Arc<Notify> {
        Arc::clone(&self.written)
    }

    /// Runs until the stop.
    pub async fn run(self, stop: CancellationToken) {
        // An interrupted transaction is rolled back, and another process does it.
        while let Some(done) = stop.run_until_cancelled(self.round()).await {
            if let Err(error) = done
                && !error.is_outage()
            {
                tracing::error!(%error, "events could not be numbered; retrying");
            }
            stop.run_until_cancelled(sleep(REST)).await;
        }
    }

    /// Waits until there is something to number, and numbers all of it.
    async fn round(&self) -> Result<(), StoreError> {
        let is_told = tokio::time::timeout(EVERY, self.written.notified()).await.is_ok();
        if !is_told && !self.store.has_unstamped_events().await? {
            return Ok(());
        }
        let mut pause = AGAIN;
        loop {
            match self.store.stamp_events(BATCH).await? {
                Stamping::Done { has_more: false, .. } => return Ok(()),
                Stamping::Done { has_more: true, .. } => {}
                Stamping::Busy => {
                    sleep(pause).await;
                    pause = (pause * 2).min(EVERY);
                }
            }
        }
    }
}
