//! Records that this process lives, and whether it may start work; API processes show it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::{Store, StoreError};

const EVERY: Duration = Duration::from_secs(5);

/// A process that was not seen for this long counts as dead.
const UNTIL: Duration = Duration::from_secs(20);

/// How long a stop waits for the database to record it.
const PARTING: Duration = Duration::from_secs(2);

/// A process that works.
#[derive(Debug, Clone)]
pub struct Worker {
    pub id: Uuid,
    pub orgs: Vec<String>,
    /// `engine.paused`.
    pub is_paused: bool,
}

impl Worker {
    /// Says so once.
    pub async fn note(&self, store: &Store) -> Result<(), StoreError> {
        store.note_worker(self.id, &self.orgs, self.is_paused, UNTIL).await
    }
}

/// Says so again and again, and takes it back in the end.
pub async fn run(store: Store, worker: Worker, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        if let Err(error) = worker.note(&store).await
            && !error.is_outage()
        {
            tracing::error!(%error, "this process can't be noted among those that work");
        }
    }
    // Without that it is forgotten a little later.
    let _ = tokio::time::timeout(PARTING, store.forget_worker(worker.id)).await;
}
