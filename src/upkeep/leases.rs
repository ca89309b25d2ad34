//! Expired leases: their holder died or was too slow. Queries can be repeated; a submit is in doubt.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::terms::EngineTerms;
use crate::engine::Wakes;
use crate::store::{Store, StoreError};

/// Looks for them, several times within the life of a lease.
pub async fn run(store: Store, orgs: Vec<String>, terms: EngineTerms, wakes: Wakes, stop: CancellationToken) {
    let every = (terms.lease / 4).max(Duration::from_secs(1));
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        for org in &orgs {
            match expire(&store, org, &terms).await {
                Ok(0) => {}
                Ok(expired) => {
                    tracing::warn!(org, expired, "leases ended without a result; their work is done again");
                    wakes.wake(org);
                }
                Err(error) => tracing::error!(org, %error, "could not look for ended leases"),
            }
        }
    }
}

/// Recovers the work of an org's expired leases; returns how many there were.
pub async fn expire(store: &Store, org: &str, terms: &EngineTerms) -> Result<u64, StoreError> {
    let slices = store.expire_slices(org).await?;
    Ok(slices + store.expire_submits(org, terms).await?)
}
