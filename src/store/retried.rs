//! Retries transactions that the server rolled back because of a deadlock or serialization failure: nothing of them
//! was done.

use super::{Store, StoreError};

/// A transaction that collides this often in a row has another problem.
const TRIES: usize = 5;

impl Store {
    /// Does a transaction, and retries it after a deadlock or a serialization failure.
    pub(super) async fn retried<T, F>(&self, mut transact: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        for _ in 1..TRIES {
            let error = match transact().await {
                Err(error) => error,
                done => return done,
            };
            let Some(cause) = error.collision() else { return Err(error) };
            self.meters.transaction_retried(cause);
            tracing::info!(%error, "a transaction collided with another; retrying");
        }
        transact().await
    }
}
