//! Submits whose worker is gone: whether the call left is unknown, so the job is in doubt.

use std::time::Duration;

use crate::meters::Leased;
use crate::store::orgs::pace::{Observed, observed};
use crate::store::tx::Writes as _;
use crate::store::{Store, StoreError};

impl Store {
    /// What the org's last jobs showed.
    pub async fn observed(&self, org: &str) -> Result<Observed, StoreError> {
        let mut tx = self.begin("observed").await?;
        observed(&mut tx, org).await
    }

    /// Puts submitting jobs whose lease ended in doubt, whatever the clock says; their window runs from the end of the
    /// lease.
    pub async fn expire_submits(&self, org: &str, window: Duration) -> Result<u64, StoreError> {
        let mut tx = self.begin("expire_submits").await?;
        let expired = sqlx::query!(
            r#"-- expire_submits
            update jobs
            set state = 'in_doubt', epoch = epoch + 1, lost_since = coalesce(lost_since, lease_until),
                run_at = lease_until + make_interval(secs => $2), lease_until = null, tries = 0,
                last_error = '{"call": "submit", "message": "the worker that submitted it is gone"}'
            where org = $1 and state = 'submitting' and lease_until < clock_timestamp()"#,
            org,
            window.as_secs_f64()
        )
        .run(&mut tx)
        .await?;
        tx.commit().await?;
        self.meters.leases_expired(org, Leased::Submits, expired);
        Ok(expired)
    }
}
