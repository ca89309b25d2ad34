//! Submits without an answer: whether the upstream job exists is unknown. Their waiting window is computed when the
//! loss is recorded, from the durations of the org's jobs at that moment.

use serde_json::Value;

use super::lease::JobLease;
use crate::domain::terms::EngineTerms;
use crate::meters::Leased;
use crate::store::orgs::pace;
use crate::store::tx::Writes as _;
use crate::store::{Store, StoreError};

impl Store {
    /// No answer that could be read. The job waits for its window.
    pub async fn record_lost(
        &self,
        org: &str,
        lease: JobLease,
        body_sha256: [u8; 32],
        error: &Value,
        terms: &EngineTerms,
    ) -> Result<(), StoreError> {
        self.retried(|| self.try_record_lost(org, lease, body_sha256, error, terms)).await
    }

    async fn try_record_lost(
        &self,
        org: &str,
        lease: JobLease,
        body_sha256: [u8; 32],
        error: &Value,
        terms: &EngineTerms,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin("record_lost").await?;
        let window = pace::observed(&mut tx, org).await?.window(terms);
        let done = sqlx::query!(
            "-- record_lost
            update jobs
            set state = 'in_doubt', lost_since = coalesce(lost_since, clock_timestamp()), body_sha256 = $5,
                losses = least(losses + 1, 1000), run_at = clock_timestamp() + make_interval(secs => $3),
                lease_until = null, tries = 0, blind = 0, last_error = $4
            where id = $1 and epoch = $2 and state = 'submitting'",
            lease.job,
            lease.epoch,
            window.as_secs_f64(),
            error,
            &body_sha256[..]
        )
        .run(&mut tx)
        .await?;
        if done == 0 {
            return Err(StoreError::LeaseLost { what: "job", id: lease.job });
        }
        tx.commit().await
    }

    /// Puts submitting jobs whose lease ended in doubt, whatever the clock says: their worker is gone, and whether the call
    /// left is unknown. Their window runs from the end of the lease.
    pub async fn expire_submits(&self, org: &str, terms: &EngineTerms) -> Result<u64, StoreError> {
        self.retried(|| self.try_expire_submits(org, terms)).await
    }

    async fn try_expire_submits(&self, org: &str, terms: &EngineTerms) -> Result<u64, StoreError> {
        let mut tx = self.begin("expire_submits").await?;
        let window = pace::observed(&mut tx, org).await?.window(terms);
        let expired = sqlx::query!(
            r#"-- expire_submits
            update jobs
            set state = 'in_doubt', epoch = epoch + 1, lost_since = coalesce(lost_since, lease_until),
                losses = least(losses + 1, 1000), run_at = lease_until + make_interval(secs => $2),
                lease_until = null, tries = 0, blind = 0,
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
