//! Limits how many large purges are accepted at once: each takes a connection for minutes, and others must get
//! through.

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
    /// For this number of request connections: at most a quarter is for large purges, and one is kept for other
    /// requests, however many small purges arrive.
    pub(in crate::store) fn new(connections: u32) -> Self {
        let semaphore = |at_once: u32| {
            Arc::new(Semaphore::new(usize::try_from(at_once.max(1)).unwrap_or(Semaphore::MAX_PERMITS)))
        };
        let large = (connections / 4).max(1);
        Self { large: semaphore(large), small: semaphore(connections.saturating_sub(1 + large)) }
    }

    /// Waits for the turn of small purges.
    pub(super) async fn small(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.small.acquire().await.ok()
    }

    /// Waits for the turn of a purge of this size, but no longer than `patience`.
    pub(super) async fn take(
        &self,
        conversations: u64,
        patience: Duration,
    ) -> Result<SemaphorePermit<'_>, StoreError> {
        let turns = if conversations > LARGE { &self.large } else { &self.small };
        // The semaphores are never closed.
        match tokio::time::timeout(patience, turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(StoreError::NoTurn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of that size have a turn at once.
    async fn at_once(connections: u32, conversations: u64) -> usize {
        let turns = Turns::new(connections);
        let mut taken = Vec::new();
        while let Ok(turn) = turns.take(conversations, Duration::ZERO).await {
            taken.push(turn);
        }
        assert!(matches!(turns.take(conversations, Duration::ZERO).await, Err(StoreError::NoTurn)));
        taken.len()
    }

    #[tokio::test]
    async fn large_purges_have_a_quarter_of_the_connections_and_all_together_leave_one() {
        for (connections, large, small) in [(5, 1, 3), (50, 12, 37), (2, 1, 1), (1, 1, 1), (0, 1, 1)] {
            assert_eq!(at_once(connections, LARGE + 1).await, large, "of {connections}");
            assert_eq!(at_once(connections, LARGE).await, small, "of {connections}");
        }
    }

    #[tokio::test]
    async fn small_purges_do_not_wait_for_large_ones() {
        let turns = Turns::new(1);
        let large = turns.take(LARGE + 1, Duration::ZERO).await.unwrap();
        assert!(turns.take(LARGE, Duration::ZERO).await.is_ok());
        drop(large);
        assert!(turns.take(LARGE + 1, Duration::ZERO).await.is_ok());
    }
}
