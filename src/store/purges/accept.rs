//! Accepts a purge, all or nothing: the purge, its slices, the index of its conversations. Small purges share one
//! statement (`together.rs`); any other has its own transaction.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::first::{self, Draft};
use super::index::{self, Entries};
use super::load::Purge;
use super::repeat::{self, Before, RepeatKey};
use crate::domain::SLICE_SIZE;
use crate::domain::outcome::Cell;
use crate::intake::{IntakeError, Spooled};
use crate::store::endpoints::create::OfPurge;
use crate::store::error::ensure_rows;
use crate::store::keys;
use crate::store::tx::{Tx, Writes as _};
use crate::store::{Store, StoreError};

/// A requested purge.
#[derive(Debug, Clone)]
pub struct NewPurge {
    pub org: String,
    pub reason: Option<String>,
    /// The caller's own name for it.
    pub reference: Option<String>,
    /// The caller's labels: an object of strings.
    pub labels: Value,
    /// Only ask what would be purged.
    pub is_dry_run: bool,
    /// The receiver that it names.
    pub webhook: Option<OfPurge>,
    /// The id of the key that asks.
    pub key_id: Uuid,
    /// Its name.
    pub requested_by: String,
    pub request_id: String,
    /// The trace that the request says that it is part of.
    pub traceparent: Option<String>,
}

/// The result of accepting a purge.
#[derive(Debug, Clone)]
pub enum Accepted {
    New(Box<Purge>),
    /// The idempotency key is already used.
    Before(Before),
    /// Another request with the same key is running: its result is not known yet.
    NotYet,
    /// The caller's API key was revoked during the request.
    Revoked,
}

impl Store {
    /// Accepts a purge of everything that was spooled; after the return it is processed. If its idempotency key
    /// already has a purge, or another request with it is running, nothing is accepted. Waits for its turn no longer
    /// than `patience`.
    pub async fn accept_purge(
        &self,
        new: &NewPurge,
        spooled: &Spooled,
        repeat: Option<&RepeatKey>,
        patience: Duration,
    ) -> Result<Accepted, StoreError> {
        if let Some(key) = repeat
            && let Some(before) = self.find_repeat(key).await?
        {
            return Ok(Accepted::Before(before));
        }
        self.retried(|| self.accept(new, spooled, repeat, patience)).await
    }

    async fn accept(
        &self,
        new: &NewPurge,
        spooled: &Spooled,
        repeat: Option<&RepeatKey>,
        patience: Duration,
    ) -> Result<Accepted, StoreError> {
        let is_small = spooled.is_at_hand() && spooled.distinct() <= SLICE_SIZE as u64;
        if is_small && repeat.is_none() && new.webhook.is_none() {
            let draft = Draft::new(self, new, spooled, whole(spooled)?);
            let id = draft.id;
            let accepted = self.accept_together(draft, patience).await?;
            return Ok(accepted.map_or(Accepted::Revoked, |now| {
                Accepted::New(Box::new(Purge::accepted(id, new, spooled, now)))
            }));
        }
        // Kept until the end.
        let _turn = self.turns.take(spooled.distinct(), patience).await?;
        let draft = Draft::new(self, new, spooled, Entries::default());
        let mut slices = read_ahead(spooled.ids(SLICE_SIZE));
        let mut index = read_ahead(index::chunks(spooled.index()?));
        let mut tx = self.begin_request("accept_purge").await?;
        if let Some(key) = repeat
            && !repeat::lock(&mut tx, key).await?
        {
            return Ok(Accepted::NotYet);
        }
        let id = draft.id;
        let Some(now) = first::insert(&mut tx, &[&draft]).await?.remove(&id) else {
            return Ok(Accepted::Revoked);
        };
        if let Some(key) = repeat
            && !repeat::claim(&mut tx, key, id, now).await?
        {
            return Ok(Accepted::NotYet);
        }
        first::insert_endpoint(&mut tx, id, new).await?;
        let sliced = insert_slices(&mut tx, id, new, now, &mut slices).await?;
        let indexed = index::insert(&mut tx, id, spooled.distinct(), &mut index).await?;
        // Everything must have been read back from the spool, or nothing is accepted.
        let distinct = usize::try_from(spooled.distinct()).unwrap_or(usize::MAX);
        ensure_rows("read_slices", sliced as u64, distinct)?;
        ensure_rows("read_index", indexed as u64, distinct)?;
        // Time has passed since the key was checked.
        if !keys::is_in_force(&mut tx, new.key_id).await? {
            return Ok(Accepted::Revoked);
        }
        tx.will_wake(&new.org);
        tx.commit().await?;
        Ok(Accepted::New(Box::new(Purge::accepted(id, new, spooled, now))))
    }
}

/// The index of a small purge, which is in memory.
fn whole(spooled: &Spooled) -> Result<Entries, StoreError> {
    Ok(index::chunks(spooled.index()?).next().transpose()?.unwrap_or_default())
}

/// Inserts the slices; returns how many conversations are in them.
async fn insert_slices(
    tx: &mut Tx,
    id: Uuid,
    new: &NewPurge,
    now: Timestamp,
    slices: &mut Pieces<Vec<Uuid>>,
) -> Result<usize, StoreError> {
    let mut inserted = 0;
    for slice_no in 0_i32.. {
        let Some(ids) = slices.recv().await else { break };
        let ids = ids?;
        sqlx::query!(
            "-- insert_slice
            insert into slices (purge_id, slice_no, org, ids, outcomes, pending, run_at)
            values ($1, $2, $3, $4, $5, cardinality($4::uuid[]), $6)",
            id,
            slice_no,
            new.org,
            &ids,
            &vec![Cell::NEW.to_byte(); ids.len()],
            now.to_sqlx() as _
        )
        .exactly(tx, 1)
        .await?;
        inserted += ids.len();
    }
    Ok(inserted)
}

/// Items that a separate thread reads from the spool.
pub(super) type Pieces<T> = mpsc::Receiver<Result<T, IntakeError>>;

/// Reads a blocking iterator on a separate thread, a little ahead of its consumer.
fn read_ahead<T: Send + 'static>(
    items: impl Iterator<Item = Result<T, IntakeError>> + Send + 'static,
) -> Pieces<T> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        for item in items {
            if sender.blocking_send(item).is_err() {
                break;
            }
        }
    });
    receiver
}
