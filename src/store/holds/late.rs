//! Conversations for which a hold came too late: they are gone, or a job may be deleting them.

use uuid::Uuid;

use crate::domain::keys::Reach;
use crate::store::tx::Rows as _;
use crate::store::{Store, StoreError};

impl Store {
    /// The conversations of the hold within the reach for which it is too late, as known now. Read after the hold's
    /// activation, when no further intent can name them: those named before that come back are protected.
    pub async fn too_late_for(&self, reach: &Reach, hold: Uuid) -> Result<Vec<Uuid>, StoreError> {
        let mut tx = self.begin_protecting("too_late_for").await?;
        sqlx::query_scalar!(
            r#"-- too_late_for
            select distinct conversation_id as "conversation_id!"
            from hold_conversations_and_fate
            where hold_id = $1 and ($2::text[] is null or org = any($2)) and is_too_late
            order by 1"#,
            hold,
            reach.orgs()
        )
        .all(&mut tx)
        .await
    }
}
