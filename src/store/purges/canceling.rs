//! Which purges are being canceled: conversations that come back from their jobs have failed.

use std::collections::HashSet;

use uuid::Uuid;

use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx};

/// Those of the purges, under their org's lock.
pub(in crate::store) async fn among(tx: &mut Tx, mut purges: Vec<Uuid>) -> Result<HashSet<Uuid>, StoreError> {
    purges.dedup();
    let canceling = sqlx::query_scalar!(
        "-- canceling_purges
        select id from purges where id = any($1) and state = 'canceling'",
        &purges
    )
    .all(tx)
    .await?;
    Ok(canceling.into_iter().collect())
}
