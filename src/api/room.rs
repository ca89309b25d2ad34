//! Room for what callers send: however many they are, they take only so much memory and so many files at once.
//!
//! Invariant: holds have room of their own, and what stops something needs none.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use super::terms::ConnectionTerms;

/// Room, shared by all requests.
#[derive(Debug, Clone)]
pub struct Room {
    /// For purges as large JSON bodies.
    pub(super) purges: Arc<Semaphore>,
    /// For holds as large JSON bodies.
    pub(super) holds: Arc<Semaphore>,
    /// For purges as uploads.
    pub(super) uploads: Arc<Semaphore>,
}

impl Room {
    /// As much as these terms give.
    pub fn new(terms: &ConnectionTerms) -> Self {
        let semaphore = |places| Arc::new(Semaphore::new(places));
        Self {
            purges: semaphore(terms.large_bodies),
            holds: semaphore(terms.large_bodies),
            uploads: semaphore(terms.uploads),
        }
    }
}

/// Waits for a place, but no longer than `patience`.
pub(super) async fn take(
    places: &Arc<Semaphore>,
    patience: Duration,
) -> Result<OwnedSemaphorePermit, Problem> {
    // Nobody closes the semaphores.
    if let Ok(Ok(place)) = tokio::time::timeout(patience, Arc::clone(places).acquire_owned()).await {
        return Ok(place);
    }
    let detail = "others are sending as much as there is room for; try again in a moment";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail))
}
