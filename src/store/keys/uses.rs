//! When keys were last used: recorded in memory by each key look-up, and written asynchronously, at most once a minute
//! per key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::store::tx::Writes as _;
use crate::store::{Store, StoreError};

/// A use that soon after the one that was written is not written.
const APART: SignedDuration = SignedDuration::from_mins(1);

/// The uses that this process has seen; all clones are one.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Uses(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    keys: Mutex<HashMap<Uuid, Use>>,
    due: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    at: Timestamp,
    is_written: bool,
}

impl Uses {
    /// A request brought this key, by the clock of the database.
    pub(super) fn note(&self, key: Uuid, at: Timestamp) {
        let mut keys = self.keys();
        if keys.get(&key).is_some_and(|last| at.duration_since(last.at) < APART) {
            return;
        }
        keys.insert(key, Use { at, is_written: false });
        drop(keys);
        self.0.due.notify_one();
    }

    /// What is to be written; it counts as written from now on.
    fn take(&self) -> (Vec<Uuid>, Vec<Timestamp>) {
        let mut keys = self.keys();
        let due = keys.iter_mut().filter(|(_, last)| !last.is_written);
        due.map(|(key, last)| {
            last.is_written = true;
            (*key, last.at)
        })
        .unzip()
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Uuid, Use>> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Returns when a use of a key is to be written.
    pub async fn key_used(&self) {
        self.uses.0.due.notified().await;
    }

    /// Writes the uses that were noted. One that can't be written is forgotten: the next one, a minute later, will be.
    pub async fn write_key_uses(&self) -> Result<(), StoreError> {
        let (keys, times) = self.uses.take();
        if keys.is_empty() {
            return Ok(());
        }
        let times: Vec<_> = times.into_iter().map(ToSqlx::to_sqlx).collect();
        let mut tx = self.single("write_key_uses").await?;
        sqlx::query!(
            "-- write_key_uses
            update api_keys k
            set last_used_at = u.at
            from unnest($1::uuid[], $2::timestamptz[]) as u (id, at)
            where k.id = u.id and (k.last_used_at is null or k.last_used_at < u.at)",
            &keys,
            &times as _
        )
        .run(&mut tx)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_once_a_minute_however_often_it_is_used() {
        let uses = Uses::default();
        let (crm, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let at = |second| Timestamp::from_second(second).unwrap();
        let taken = || {
            let (keys, times) = uses.take();
            let mut taken: Vec<_> = keys.into_iter().zip(times).collect();
            taken.sort_unstable();
            taken
        };
        uses.note(crm, at(0));
        uses.note(crm, at(59));
        assert_eq!(taken(), [(crm, at(0))]);
        uses.note(crm, at(59));
        assert_eq!(taken(), [], "it was written a moment ago");
        uses.note(other, at(59));
        uses.note(crm, at(60));
        assert_eq!(taken(), [(crm, at(60)), (other, at(59))]);
        assert_eq!(taken(), []);
    }
}
