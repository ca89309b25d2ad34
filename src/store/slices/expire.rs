//! Leases that ended: their worker is gone or too slow, and the slices are asked about again.

use crate::meters::Leased;
use crate::store::tx::Writes as _;
use crate::store::{Store, StoreError};

impl Store {
    /// Gives slices whose lease ended back to the queue; tells how many there were.
    pub async fn expire_slices(&self, org: &str) -> Result<u64, StoreError> {
        let mut tx = self.begin("expire_slices").await?;
        let expired = sqlx::query!(
            "-- expire_slices
            with expired as (
                select purge_id, slice_no from slices
                where org = $1 and state = 'validating' and lease_until < clock_timestamp()
                order by purge_id, slice_no
                for update skip locked
            )
            update slices s
            set state = 'queued', lease_until = null, epoch = s.epoch + 1, tries = least(s.tries + 1, 1000)
            from expired
            where (s.purge_id, s.slice_no) = (expired.purge_id, expired.slice_no)",
            org
        )
        .run(&mut tx)
        .await?;
        tx.commit().await?;
        self.meters.leases_expired(org, Leased::Slices, expired);
        Ok(expired)
    }
}
