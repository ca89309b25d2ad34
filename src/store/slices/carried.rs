//! Whether a job of any purge has carried a conversation: then its absence upstream is no riddle.

use std::collections::HashSet;

use uuid::Uuid;

use crate::domain::outcome::{Cell, Marks};
use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx};

/// Those of the ids that a job of some purge of the org has carried and may have deleted.
pub(in crate::store) async fn carried_among(
    tx: &mut Tx,
    org: &str,
    ids: &[Uuid],
) -> Result<HashSet<Uuid>, StoreError> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = sqlx::query!(
        r#"-- carried_among
        select c.conversation_id, get_byte(s.outcomes, c.ordinal % $3) as "byte!"
        from conversations c
        join slices s on s.purge_id = c.purge_id and s.slice_no = c.ordinal / $3
        where c.conversation_id = any($1) and s.org = $2"#,
        ids,
        org,
        i32::try_from(crate::domain::SLICE_SIZE).unwrap_or(i32::MAX)
    )
    .all(tx)
    .await?;
    let is_carried = |byte: i32| {
        u8::try_from(byte).ok().and_then(Cell::from_byte).is_some_and(|cell| cell.marks.has(Marks::CARRIED))
    };
    Ok(rows.into_iter().filter(|row| is_carried(row.byte)).map(|row| row.conversation_id).collect())
}

/// Those of the ids that a job has at this moment which was submitted, or is being, and may delete them.
pub(super) async fn carried_now_among(
    tx: &mut Tx,
    org: &str,
    ids: &[Uuid],
) -> Result<HashSet<Uuid>, StoreError> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let carried = sqlx::query_scalar!(
        "-- carried_now_among
        select r.conversation_id
        from reservations r
        join jobs j on j.id = r.job_id
        where r.org = $1 and r.conversation_id = any($2)
          and j.state in ('submitting', 'in_doubt', 'submitted', 'verifying')",
        org,
        ids
    )
    .all(tx)
    .await?;
    Ok(carried.into_iter().collect())
}
