//! Whether a hold protects a conversation.

use std::collections::HashSet;

use uuid::Uuid;

use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx};

/// Those of the ids that an active hold names.
pub(in crate::store) async fn held_among(
    tx: &mut Tx,
    org: &str,
    ids: &[Uuid],
) -> Result<HashSet<Uuid>, StoreError> {
    let held = sqlx::query_scalar!(
        "-- held_among
        select hc.conversation_id
        from hold_conversations hc
        join holds h on h.id = hc.hold_id
        where hc.org = $1 and h.active and hc.conversation_id = any($2)",
        org,
        ids
    )
    .all(tx)
    .await?;
    Ok(held.into_iter().collect())
}
