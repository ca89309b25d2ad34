//! Slices that can't be read: each is left out of the transaction that meets it, which sets it aside. Until it was
//! read again (`purges/repair.rs`) it is neither drawn nor queried, and every transaction leaves it out; after some
//! tries it is parked.
//!
//! Invariant: no conversation of a slice that was left out is submitted, or judged gone or kept.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::json;
use uuid::Uuid;

use super::SliceKey;
use super::patch::Patch;
use super::purge_rows::PurgeChange;
use crate::domain::backoff;
use crate::domain::events::EventType;
use crate::domain::reason::Step;
use crate::store::error::ensure_rows;
use crate::store::events::OfPurge;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// How often a parked slice is read again: it may have been repaired.
const PARKED: Duration = Duration::from_hours(1);

/// A slice under lock that can't be read.
#[derive(Debug)]
pub(super) struct LeftOut {
    pub(super) ids: Vec<Uuid>,
    /// How often in a row it could not be read before.
    pub(super) tries: i16,
    /// The error; `None` if it was set aside before, and was not read again.
    pub(super) why: Option<String>,
}

impl Patch {
    /// Leaves out a slice that can't be processed, for a reason other than its bytes. Nothing was decided about it
    /// yet.
    pub(in crate::store) fn leave_out(&mut self, key: SliceKey, why: String) {
        if let Some(slice) = self.slices.remove(&key) {
            self.left_out.insert(key, LeftOut { ids: slice.ids, tries: 0, why: Some(why) });
        }
    }

    /// Parks a readable slice on which work fails. It starts again each hour.
    pub(super) fn park(&mut self, key: SliceKey) {
        if let Some(slice) = self.slices.remove(&key) {
            let why = Some("this service failed on it repeatedly; see its log".to_owned());
            self.left_out.insert(key, LeftOut { ids: slice.ids, tries: backoff::TRIES_TO_READ, why });
        }
    }

    /// The ids of a slice that is left out.
    pub(in crate::store) fn ids_left_out(&self, key: SliceKey) -> Option<&[Uuid]> {
        self.left_out.get(&key).map(|slice| slice.ids.as_slice())
    }

    /// Sets aside unreadable slices, and records that in their purges; returns the slices that were parked.
    pub(super) async fn set_aside(
        &self,
        tx: &mut Tx,
        now: Timestamp,
        changes: &mut BTreeMap<Uuid, PurgeChange>,
    ) -> Result<Vec<OfPurge>, StoreError> {
        let unreadable: Vec<(SliceKey, Option<Duration>, &str)> = self
            .left_out
            .iter()
            .filter_map(|(key, slice)| {
                let tries = u32::from(slice.tries.max(0).unsigned_abs()) + 1;
                Some((*key, backoff::unreadable(tries), slice.why.as_deref()?))
            })
            .collect();
        if unreadable.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query!(
            r#"-- set_aside
            update slices s
            set state = case when s.state = 'validating' then 'queued' else s.state end, lease_until = null, asked = 0,
                epoch = s.epoch + 1, drawable = 0, unreadable_why = new.why,
                unreadable_tries = least(s.unreadable_tries + 1, 1000),
                read_again_at = $6::timestamptz + make_interval(secs => new.wait),
                parked_at = case when new.is_parked then coalesce(s.parked_at, $6) end
            from unnest($1::uuid[], $2::int[], $3::text[], $4::float8[], $5::bool[])
                 as new (purge_id, slice_no, why, wait, is_parked)
            join slices old on (old.purge_id, old.slice_no) = (new.purge_id, new.slice_no)
            where (s.purge_id, s.slice_no) = (new.purge_id, new.slice_no)
            returning s.purge_id, s.slice_no, new.why as "why!", old.drawable,
                      s.parked_at is not null and old.parked_at is null as "is_parked_now!""#,
            &unreadable.iter().map(|(key, ..)| key.purge).collect::<Vec<_>>(),
            &unreadable.iter().map(|(key, ..)| key.no).collect::<Vec<_>>(),
            &unreadable.iter().map(|(.., why)| (*why).to_owned()).collect::<Vec<_>>(),
            &unreadable.iter().map(|(_, wait, _)| wait.unwrap_or(PARKED).as_secs_f64()).collect::<Vec<_>>(),
            &unreadable.iter().map(|(_, wait, _)| wait.is_none()).collect::<Vec<_>>(),
            now.to_sqlx() as _
        )
        .all(tx)
        .await?;
        ensure_rows("set_aside", rows.len() as u64, unreadable.len())?;
        let mut parked = Vec::new();
        for row in rows {
            changes.entry(row.purge_id).or_default().drawable -= i64::from(row.drawable);
            let (purge, slice, error) = (row.purge_id, row.slice_no, row.why);
            if row.is_parked_now {
                tracing::error!(%purge, slice, error, "a slice is parked; it waits for a repair");
                parked.push(OfPurge {
                    purge,
                    event: EventType::SliceParked,
                    job: None,
                    payload: json!({ "sliceNo": slice, "error": error }),
                    webhook: None,
                });
            } else {
                tracing::warn!(%purge, slice, error, "a slice can't be read; it is left out, and read again");
            }
        }
        Ok(parked)
    }
}

impl Store {
    /// Sets aside those of the slices that can't be read.
    pub(super) async fn set_aside(&self, keys: Vec<SliceKey>) -> Result<(), StoreError> {
        let mut tx = self.begin("set_aside").await?;
        let patch = Patch::lock(&mut tx, Step::Validate, None, keys).await?;
        patch.write(self, &mut tx).await?;
        tx.commit().await
    }

    /// Parks a slice over which packing fails.
    pub(in crate::store) async fn park(&self, key: SliceKey) -> Result<(), StoreError> {
        let mut tx = self.begin("park").await?;
        let mut patch = Patch::lock(&mut tx, Step::Pack, None, vec![key]).await?;
        patch.park(key);
        patch.write(self, &mut tx).await?;
        tx.commit().await
    }
}
