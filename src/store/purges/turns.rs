//! Turns to accept a purge: a large one takes a connection for minutes, and others must get through.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::store::StoreError;

/// A purge of more conversations is a large one.
const LARGE: u64 = 20_000;

/// Whose turn it is; large purges wait only for large ones, and the others only for each other.
#[derive(Debug, Clone)]
pub(in crate::store) struct Turns {
    large: Arc<Semaphore>,
    small: Arc<Semaphore>,
}

impl Turns {
    /// So many of either kind at once, at least one.
    pub(in crate::store) fn new(at_once: usize) -> Self {
        let semaphore = || Arc::new(Semaphore::new(at_once.max(1)));
        Self { large: semaphore(), small: semaphore() }
    }

    /// Waits for the turn of a purge of so many conversations, but no longer than `patience`.
    pub(super) async fn take(
        &self,
        conversations: u64,
        patience: Duration,
    ) -> Result<SemaphorePermit<'_>, StoreError> {
        let turns = if conversations > LARGE { &self.large } else { &self.small };
        // Nobody closes the semaphores.
        match tokio::time::timeout(patience, turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(StoreError::NoTurn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_purges_do_not_wait_for_large_ones() {
        let turns = Turns::new(0);
        let large = turns.take(LARGE + 1, Duration::ZERO).await.unwrap();
        assert!(matches!(turns.take(LARGE + 1, Duration::ZERO).await, Err(StoreError::NoTurn)));
        let small = turns.take(LARGE, Duration::ZERO).await.unwrap();
        assert!(matches!(turns.take(1, Duration::ZERO).await, Err(StoreError::NoTurn)));
        drop((large, small));
        assert!(turns.take(LARGE + 1, Duration::ZERO).await.is_ok());
    }
}
