//! Folds the samples of histograms, which are otherwise kept one by one until the next scrape.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::meters::Meters;

/// Memory stays bounded even if nothing scrapes for days.
const EVERY: Duration = Duration::from_secs(5);

/// Takes them in, every few seconds.
pub async fn run(meters: Meters, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        meters.run_upkeep();
    }
}
