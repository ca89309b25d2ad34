//! The progress of a purge at two times, for the rate of the last minutes; written with its counts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use super::purge_rows::PurgeChange;
use crate::domain::progress::{Milestones, Moment};
use crate::store::StoreError;
use crate::store::error::ensure_rows;
use crate::store::tx::{Rows as _, Tx};

/// Reads two moments as they are stored; none where nothing of the purge has changed yet.
pub(in crate::store) fn read(
    last: (Option<SqlTimestamp>, Option<i64>),
    from: (Option<SqlTimestamp>, Option<i64>),
) -> Option<Milestones> {
    let moment = |(at, settled): (Option<SqlTimestamp>, Option<i64>)| {
        Some(Moment { at: at?.to_jiff(), settled: settled? })
    };
    Some(Milestones { from: moment(from)?, last: moment(last)? })
}

/// A purge under lock.
pub(super) struct Locked {
    pub(super) id: Uuid,
    pub(super) org: String,
    /// As they are once the changes are written.
    pub(super) milestones: Milestones,
}

/// Locks the purges, by id, and returns their milestones after these changes.
pub(super) async fn lock(
    tx: &mut Tx,
    now: Timestamp,
    changes: &BTreeMap<Uuid, PurgeChange>,
) -> Result<Vec<Locked>, StoreError> {
    let ids: Vec<Uuid> = changes.keys().copied().collect();
    let rows = sqlx::query!(
        r#"-- lock_purges
        select id, org, total - pending - eligible - submitted as "settled!", started_at, rate_at, rate_settled,
               rate_from_at, rate_from_settled
        from purges
        where id = any($1)
        order by id
        for no key update"#,
        &ids
    )
    .all(tx)
    .await?;
    ensure_rows("lock_purges", rows.len() as u64, ids.len())?;
    let locked = rows.into_iter().zip(changes.values()).map(|(row, change)| {
        let stored = read((row.rate_at, row.rate_settled), (row.rate_from_at, row.rate_from_settled));
        let started = row.started_at.map(SqlTimestamp::to_jiff);
        let after = row.settled - change.counts.open();
        let milestones = Milestones::advance(stored, started, now, row.settled, after);
        Locked { id: row.id, org: row.org, milestones }
    });
    Ok(locked.collect())
}
