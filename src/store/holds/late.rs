//! What came too late for a hold: conversations that it names and that are gone, or that a job may be deleting.

use uuid::Uuid;

use crate::domain::keys::Reach;
use crate::store::tx::Rows as _;
use crate::store::{Store, StoreError};

impl Store {
    /// Those of the hold's conversations within the reach, as far as is known now. Read after the hold's activation, when no
    /// further intent can name them: what was named before and comes back is protected.
    pub async fn too_late_for(&self, reach: &Reach, hold: Uuid) -> Result<Vec<Uuid>, StoreError> {
        let mut tx = self.begin_protecting("too_late_for").await?;
        sqlx::query_scalar!(
            "-- too_late_for
            select distinct hc.conversation_id
            from hold_conversations hc
            where hc.hold_id = $1 and ($2::text[] is null or hc.org = any($2))
              and (
                  exists (
                      select from findings
                      where org = hc.org and conversation_id = hc.conversation_id and gone_at is not null
                  )
                  -- A job past its deadline may go on, and its last look is still to come, whatever its conversations
                  -- count as.
                  or exists (
                      select from reservations r
                      join jobs j on j.id = r.job_id
                      where r.org = hc.org and r.conversation_id = hc.conversation_id and j.may_delete
                  )
              )
            order by 1",
            hold,
            reach.orgs()
        )
        .all(&mut tx)
        .await
    }
}
