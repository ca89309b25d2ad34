//! What the purges of an org have found out about an id: seen gone, found protected, carried by a job. One row per id,
//! so that looking it up costs the same however many purges name it.
//!
//! Invariant: written in the transaction of the decision that it follows from, by [`super::slices::patch::Patch`], or
//! of the end of a job whose result is unknown.

mod write;

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use super::StoreError;
use super::tx::{Rows as _, Tx};
use crate::domain::eligibility::Since;

pub(super) use write::{doubt, write};

/// The findings since then; ids without any are missing.
pub(super) async fn since(
    tx: &mut Tx,
    org: &str,
    ids: &[Uuid],
    then: Timestamp,
) -> Result<HashMap<Uuid, Since>, StoreError> {
    let rows = sqlx::query!(
        r#"-- findings_since
        select conversation_id, coalesce(gone_at >= $3, false) as "gone!", coalesce(kept_at >= $3, false) as "kept!"
        from findings
        where org = $1 and conversation_id = any($2) and greatest(gone_at, kept_at) >= $3"#,
        org,
        ids,
        then.to_sqlx() as _
    )
    .all(tx)
    .await?;
    let since = rows.into_iter().map(|row| (row.conversation_id, Since { gone: row.gone, kept: row.kept }));
    Ok(since.collect())
}

/// Those of the ids that a job of some purge of the org has carried and may have deleted: their absence upstream is no
/// riddle.
pub(super) async fn carried_among(tx: &mut Tx, org: &str, ids: &[Uuid]) -> Result<HashSet<Uuid>, StoreError> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let carried = sqlx::query_scalar!(
        r#"-- carried_among
        select conversation_id as "id!"
        from findings
        where org = $1 and conversation_id = any($2) and num_nonnulls(gone_at, carried_at) > 0
        union
        select r.conversation_id
        from reservations r
        join jobs j on j.id = r.job_id
        where r.org = $1 and r.conversation_id = any($2) and j.may_delete"#,
        org,
        ids
    )
    .all(tx)
    .await?;
    Ok(carried.into_iter().collect())
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
        where r.org = $1 and r.conversation_id = any($2) and j.may_delete",
        org,
        ids
    )
    .all(tx)
    .await?;
    Ok(carried.into_iter().collect())
}
