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

/// So many events are numbered in one transaction.
const BATCH: i64 = 2000;
/// What a process wrote that died, or that has no sequencer, is found so soon.
const EVERY: Duration = Duration::from_secs(1);
/// Between two transactions of one process: what is written meanwhile goes together.
const REST: Duration = Duration::from_millis(20);
/// Somebody else who is at it may have looked too early: it is tried again so soon, and then ever later.
const AGAIN: Duration = Duration::from_millis(5);

/// Numbers what this process has written at once, and what others have left a little later.
#[derive(Debug)]
pub struct Sequencer {
    store: Store,
    written: Arc<Notify>,
}

impl Sequencer {
    pub fn new(store: Store) -> Self {
        Self { store, written: Arc::default() }
    }

    /// What tells it that events were written.
    pub fn written(&self) -> Arc<Notify> {
        Arc::clone(&self.written)
    }

    /// Goes on until it is told to stop.
    pub async fn run(self, stop: CancellationToken) {
        // What is cut in the middle is rolled back, and done by another.
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
