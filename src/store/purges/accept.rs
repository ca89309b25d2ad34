//! Accepts a purge: one transaction, all or nothing: the purge, its slices, the index of its conversations.

use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use jiff_sqlx::ToSqlx as _;
use serde_json::Value;
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use uuid::Uuid;

use super::load::{self, Purge};
use super::repeat::{self, Before, RepeatKey};
use super::tags;
use crate::domain::SLICE_SIZE;
use crate::domain::events::EventType;
use crate::domain::outcome::Cell;
use crate::intake::{IntakeError, Spooled};
use crate::store::error::ensure_rows;
use crate::store::events::{Actor, OfPurge, write_for_purges};
use crate::store::tx::{STATEMENT_DEADLINE, Tx, Writes as _};
use crate::store::wake::notify;
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
    /// The name of the key that asks.
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
}

const COPY_INDEX: &str = "-- accept_purge_index
    copy conversations (conversation_id, purge_id, ordinal) from stdin (format binary)";

/// Bytes of the index that are sent at once.
const COPY_CHUNK: usize = 64 * 1024;

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
        Ok(self.accept(new, spooled, repeat, patience).await?.map_or(Accepted::NotYet, Accepted::New))
    }

    /// `None` where another request has the key of a repeat, or is about to.
    async fn accept(
        &self,
        new: &NewPurge,
        spooled: &Spooled,
        repeat: Option<&RepeatKey>,
        patience: Duration,
    ) -> Result<Option<Box<Purge>>, StoreError> {
        // Kept until the end.
        let _turn = self.turns.take(spooled.distinct(), patience).await?;
        let id = self.new_id();
        let mut tx = self.begin_request("accept_purge").await?;
        if let Some(key) = repeat
            && !repeat::lock(&mut tx, key).await?
        {
            return Ok(None);
        }
        insert_purge(&mut tx, id, new, spooled).await?;
        tags::insert(&mut tx, id, new.reference.as_deref(), &new.labels).await?;
        if let Some(key) = repeat {
            let now = tx.now().await?;
            if !repeat::claim(&mut tx, key, id, now).await? {
                return Ok(None);
            }
        }
        let distinct = usize::try_from(spooled.distinct()).unwrap_or(usize::MAX);
        // What was read back from the spool must be all of it, or nothing is accepted.
        ensure_rows("insert_slices", insert_slices(&mut tx, id, new, spooled).await?, distinct)?;
        ensure_rows("insert_index", insert_index(&mut tx, id, spooled).await?, distinct)?;
        let now = tx.now().await?;
        let payload = serde_json::json!({
            "total": spooled.distinct(), "duplicates": spooled.duplicates(), "dryRun": new.is_dry_run,
        });
        let accepted =
            OfPurge { purge: id, event: EventType::PurgeAccepted, job: None, payload, webhook: None };
        let actor = Actor { name: &new.requested_by, request_id: Some(&new.request_id) };
        write_for_purges(self, &mut tx, now, actor, vec![accepted]).await?;
        notify(&mut tx, &new.org).await?;
        // Read before the commit: what is accepted must not be answered with a failure to read it.
        let purge = load::load_one(&mut tx, id).await?;
        tx.commit().await?;
        Ok(Some(Box::new(purge)))
    }
}

async fn insert_purge(tx: &mut Tx, id: Uuid, new: &NewPurge, spooled: &Spooled) -> Result<(), StoreError> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let now = tx.now().await?;
    sqlx::query!(
        "-- insert_purge
        insert into purges (id, org, state, reason, reference, labels, dry_run, requested_by, request_id, created_at,
                            turn_at, ask_turn_at, ask_at, duplicates, total, pending)
        values ($1, $2, 'queued', $3, $4, $5, $6, $7, $8, $9, $9, $9, $9, $10, $11, $11)",
        id,
        new.org,
        new.reason,
        new.reference,
        new.labels,
        new.is_dry_run,
        new.requested_by,
        new.request_id,
        now.to_sqlx() as _,
        signed(spooled.duplicates()),
        signed(spooled.distinct())
    )
    .run(tx)
.await?;
    Ok(())
}

async fn insert_slices(tx: &mut Tx, id: Uuid, new: &NewPurge, spooled: &Spooled) -> Result<u64, StoreError> {
    let now = tx.now().await?;
    let mut slices = read_ahead(spooled.ids(SLICE_SIZE));
    let (mut slice_no, mut inserted) = (0_i32, 0);
    while let Some(ids) = slices.recv().await {
        let ids = ids?;
        sqlx::query!(
            "-- insert_slice
            insert into slices (purge_id, slice_no, org, ids, outcomes, pending, run_at)
            values ($1, $2, $3, $4, $5, $6, $7)",
            id,
            slice_no,
            new.org,
            &ids,
            &vec![Cell::NEW.to_byte(); ids.len()],
            i16::try_from(ids.len()).unwrap_or(i16::MAX),
            now.to_sqlx() as _
        )
        .run(tx)
        .await?;
        slice_no += 1;
        inserted += ids.len() as u64;
    }
    Ok(inserted)
}

/// The index goes in by binary COPY, sorted by id, which is what makes it fast.
async fn insert_index(tx: &mut Tx, id: Uuid, spooled: &Spooled) -> Result<u64, StoreError> {
    let chunks = read_ahead(encode(spooled.index()?, id));
    let copied = copy_index(tx.connection()?, chunks).await;
    Ok(tx.answered(copied)??)
}

/// What the database says, by the deadline of each piece, of the rows that could be read.
async fn copy_index(
    connection: &mut PgConnection,
    mut chunks: mpsc::Receiver<Result<BytesMut, IntakeError>>,
) -> Result<Result<Result<u64, IntakeError>, sqlx::Error>, Elapsed> {
    let mut copy = match timeout(STATEMENT_DEADLINE, connection.copy_in_raw(COPY_INDEX)).await? {
        Ok(copy) => copy,
        Err(error) => return Ok(Err(error)),
    };
    while let Some(chunk) = chunks.recv().await {
        let sent = match chunk {
            Ok(chunk) => timeout(STATEMENT_DEADLINE, copy.send(chunk.freeze())).await?.map(|_| Ok(())),
            Err(error) => Ok(Err(error)),
        };
        if !matches!(sent, Ok(Ok(()))) {
            // A copy that is not ended would poison the connection; the first error is the one to tell.
            drop(timeout(STATEMENT_DEADLINE, copy.abort("the ids could not be read")).await?);
            return Ok(sent.map(|sent| sent.map(|()| 0)));
        }
    }
    Ok(timeout(STATEMENT_DEADLINE, copy.finish()).await?.map(Ok))
}

/// Encodes the rows of the index as PostgreSQL's binary COPY format wants them.
fn encode(
    index: impl Iterator<Item = Result<(Uuid, u32), IntakeError>>,
    purge: Uuid,
) -> impl Iterator<Item = Result<BytesMut, IntakeError>> {
    const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    const TRAILER: i16 = -1;
    let mut index = Some(index);
    let mut buffer = BytesMut::from(HEADER);
    std::iter::from_fn(move || {
        let rows = index.as_mut()?;
        while buffer.len() < COPY_CHUNK {
            match rows.next() {
                Some(Ok((id, ordinal))) => {
                    buffer.put_i16(3);
                    buffer.put_i32(16);
                    buffer.put_slice(id.as_bytes());
                    buffer.put_i32(16);
                    buffer.put_slice(purge.as_bytes());
                    buffer.put_i32(4);
                    buffer.put_u32(ordinal);
                }
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    buffer.put_i16(TRAILER);
                    index = None;
                    break;
                }
            }
        }
        Some(Ok(buffer.split()))
    })
}

/// Reads a blocking iterator on a thread of its own, a little ahead of who takes from it.
fn read_ahead<T: Send + 'static>(items: impl Iterator<Item = T> + Send + 'static) -> mpsc::Receiver<T> {
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
