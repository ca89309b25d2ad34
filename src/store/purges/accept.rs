//! Accepts a purge: one transaction, all or nothing: the purge, its slices, the index of its conversations.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::index::{self, Entries};
use super::load::Purge;
use super::repeat::{self, Before, RepeatKey};
use super::tags;
use crate::domain::SLICE_SIZE;
use crate::domain::events::EventType;
use crate::domain::outcome::Cell;
use crate::intake::{IntakeError, Spooled};
use crate::store::error::ensure_rows;
use crate::store::events::{Actor, OfPurge, write_first};
use crate::store::keys;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// A purge that somebody asks for.
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
    /// The id of the key that asks.
    pub key_id: Uuid,
    /// Its name.
    pub requested_by: String,
    pub request_id: String,
}

/// What came of the wish for a purge.
#[derive(Debug, Clone)]
pub enum Accepted {
    New(Box<Purge>),
    /// The request's key stands for something already.
    Before(Before),
    /// Another request with its key is under way: nobody knows yet what the key will stand for.
    NotYet,
    /// The API key that asks was revoked while the request was under way.
    Revoked,
}

impl Store {
    /// Accepts a purge of everything that was spooled; from the return on it is worked on. Where the key of a repeat
    /// stands for a purge already, or another request is about to have it stand for one, nothing is accepted. Waits for
    /// its turn no longer than `patience`.
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
        self.accept(new, spooled, repeat, patience).await
    }

    async fn accept(
        &self,
        new: &NewPurge,
        spooled: &Spooled,
        repeat: Option<&RepeatKey>,
        patience: Duration,
    ) -> Result<Accepted, StoreError> {
        // Kept until the end.
        let _turn = self.turns.take(spooled.distinct(), patience).await?;
        let id = self.new_id();
        let mut slices = read_ahead(spooled.ids(SLICE_SIZE));
        let mut index = read_ahead(index::chunks(spooled.index()?));
        let (first, entries) = (next(&mut slices).await?, next(&mut index).await?);
        let mut tx = self.begin_request("accept_purge").await?;
        if let Some(key) = repeat
            && !repeat::lock(&mut tx, key).await?
        {
            return Ok(Accepted::NotYet);
        }
        let (mut sliced, mut indexed) = (first.len(), entries.len());
        let Some(now) = insert_purge(&mut tx, id, new, spooled, &first, &entries).await? else {
            return Ok(Accepted::Revoked);
        };
        if let Some(key) = repeat
            && !repeat::claim(&mut tx, key, id, now).await?
        {
            return Ok(Accepted::NotYet);
        }
        sliced += insert_slices(&mut tx, id, new, now, &mut slices).await?;
        indexed += index::insert(&mut tx, id, spooled.distinct(), &mut index).await?;
        // What was read back from the spool must be all of it, or nothing is accepted.
        let distinct = usize::try_from(spooled.distinct()).unwrap_or(usize::MAX);
        ensure_rows("read_slices", sliced as u64, distinct)?;
        ensure_rows("read_index", indexed as u64, distinct)?;
        let payload = serde_json::json!({
            "total": spooled.distinct(), "duplicates": spooled.duplicates(), "dryRun": new.is_dry_run,
        });
        let accepted =
            OfPurge { purge: id, event: EventType::PurgeAccepted, job: None, payload, webhook: None };
        let actor = Actor { name: &new.requested_by, request_id: Some(&new.request_id) };
        write_first(self, &mut tx, now, actor, &new.org, accepted).await?;
        // A large one has taken its time since the key was looked at.
        if sliced > first.len() && !keys::is_in_force(&mut tx, new.key_id).await? {
            return Ok(Accepted::Revoked);
        }
        tx.will_wake(&new.org);
        tx.commit().await?;
        Ok(Accepted::New(Box::new(Purge::accepted(id, new, spooled, now))))
    }
}

/// The purge with its tags, its first slice and the first entries of the index: all there is of a small one. Tells when
/// it was accepted; nothing where the key that asks is not in force any more.
async fn insert_purge(
    tx: &mut Tx,
    id: Uuid,
    new: &NewPurge,
    spooled: &Spooled,
    slice: &[Uuid],
    entries: &Entries,
) -> Result<Option<Timestamp>, StoreError> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let now = sqlx::query_scalar!(
        r#"-- insert_purge
        with clock as materialized (
            select clock_timestamp() as now from api_keys where id = $16 and revoked_at is null
        ), purge as (
            insert into purges (id, org, state, reason, reference, labels, dry_run, requested_by, request_id, created_at,
                                turn_at, ask_turn_at, ask_at, event_no, duplicates, total, pending)
            select $1, $2, 'queued', $3, $4, $5, $6, $7, $8, now, now, now, now, 1, $9, $10, $10
            from clock
            returning created_at
        ), tags as (
            insert into purge_tags (org, tag, purge_id)
            select $2, tag, $1 from clock cross join unnest($11::text[]) as new (tag)
        ), slice as (
            insert into slices (purge_id, slice_no, org, ids, outcomes, pending, run_at)
            select $1, 0, $2, $12, $13, cardinality($12::uuid[]), now
            from clock
        ), entries as (
            insert into conversations (conversation_id, purge_id, ordinal)
            select id, $1, ordinal from clock cross join unnest($14::uuid[], $15::int[]) as new (id, ordinal)
        )
        select created_at as "now!: SqlTimestamp" from purge"#,
        id,
        new.org,
        new.reason,
        new.reference,
        new.labels,
        new.is_dry_run,
        new.requested_by,
        new.request_id,
        signed(spooled.duplicates()),
        signed(spooled.distinct()),
        &tags::of(new.reference.as_deref(), &new.labels),
        slice,
        &vec![Cell::NEW.to_byte(); slice.len()],
        &entries.ids,
        &entries.ordinals,
        new.key_id
    )
    .maybe(tx)
    .await?;
    Ok(now.map(SqlTimestamp::to_jiff))
}

/// The other slices; tells how many conversations are in them.
async fn insert_slices(
    tx: &mut Tx,
    id: Uuid,
    new: &NewPurge,
    now: Timestamp,
    slices: &mut Pieces<Vec<Uuid>>,
) -> Result<usize, StoreError> {
    let mut inserted = 0;
    for slice_no in 1_i32.. {
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

/// What a thread of its own reads from the spool.
pub(super) type Pieces<T> = mpsc::Receiver<Result<T, IntakeError>>;

/// Reads a blocking iterator on a thread of its own, a little ahead of who takes from it.
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

/// The first piece, which every purge has.
async fn next<T: Default>(pieces: &mut Pieces<T>) -> Result<T, StoreError> {
    Ok(pieces.recv().await.transpose()?.unwrap_or_default())
}
