//! Overdue: past its deadline, though upstream may still run it. Conversations that are still there have failed; the
//! job keeps its slot and its ids.

use std::time::Duration;

use super::settling::Settling;
use crate::store::StoreError;

/// A job that is only waited for is asked after so rarely.
const RARELY: Duration = Duration::from_hours(1);

pub(super) async fn record(settling: &mut Settling<'_>) -> Result<(), StoreError> {
    let settled = settling.settle_ended().await?;
    let wait = settled.again.unwrap_or_else(|| RARELY.min(settling.terms.job_deadline));
    settling.look_again(wait, settled.tally.gone > 0).await
}
