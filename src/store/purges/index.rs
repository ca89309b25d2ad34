//! The index of a purge's conversations, sorted by id, which is what makes it fast to write.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use sqlx::PgConnection;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use uuid::Uuid;

use super::accept::Pieces;
use crate::intake::IntakeError;
use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx, Writes as _};

/// Entries that are written at once.
const AT_ONCE: usize = 5_000;

/// A purge of more conversations is copied: that takes half as long for each, but on a network its end waits for up to
/// 40 ms, until the server's machine confirms what came last.
const COPIED: u64 = 20_000;

/// Pieces of one copy: a million entries, so that none takes long.
const PIECES: usize = 200;

/// One copy takes no longer; that nobody goes silent within it is seen piece by piece.
const LONGEST_COPY: &str = "5min";

const COPY: &str = "-- copy_index
    copy conversations (conversation_id, purge_id, ordinal) from stdin (format binary)";

/// Some conversations, each with its ordinal.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) ids: Vec<Uuid>,
    pub(super) ordinals: Vec<i32>,
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// As rows of PostgreSQL's binary COPY format.
    fn encode(&self, purge: Uuid, rows: &mut BytesMut) {
        const ROW: usize = 2 + 4 + 16 + 4 + 16 + 4 + 4;
        rows.reserve(self.len() * ROW);
        for (id, ordinal) in self.ids.iter().zip(&self.ordinals) {
            rows.put_i16(3);
            rows.put_i32(16);
            rows.put_slice(id.as_bytes());
            rows.put_i32(16);
            rows.put_slice(purge.as_bytes());
            rows.put_i32(4);
            rows.put_i32(*ordinal);
        }
    }
}

/// The entries, so many as are written at once.
pub(super) fn chunks(
    mut entries: impl Iterator<Item = Result<(Uuid, u32), IntakeError>>,
) -> impl Iterator<Item = Result<Entries, IntakeError>> {
    std::iter::from_fn(move || {
        let mut chunk = Entries::default();
        for entry in entries.by_ref().take(AT_ONCE) {
            let (id, ordinal) = match entry {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            chunk.ids.push(id);
            chunk.ordinals.push(i32::try_from(ordinal).unwrap_or(i32::MAX));
        }
        (chunk.len() > 0).then_some(Ok(chunk))
    })
}

/// Writes the other entries of a purge of so many conversations; tells how many there were.
pub(super) async fn insert(
    tx: &mut Tx,
    purge: Uuid,
    conversations: u64,
    chunks: &mut Pieces<Entries>,
) -> Result<usize, StoreError> {
    let mut written = 0;
    if conversations > COPIED {
        allow_time(tx).await?;
    }
    while let Some(chunk) = chunks.recv().await {
        let chunk = chunk?;
        written += if conversations > COPIED {
            let deadline = tx.deadline;
            let copied = copy(tx.connection()?, deadline, purge, chunk, chunks).await;
            tx.answered(copied)??
        } else {
            insert_chunk(tx, purge, &chunk).await?
        };
    }
    Ok(written)
}

async fn insert_chunk(tx: &mut Tx, purge: Uuid, chunk: &Entries) -> Result<usize, StoreError> {
    sqlx::query!(
        "-- insert_index
        insert into conversations (conversation_id, purge_id, ordinal)
        select id, $2, ordinal from unnest($1::uuid[], $3::int[]) as new (id, ordinal)",
        &chunk.ids,
        purge,
        &chunk.ordinals
    )
    .exactly(tx, chunk.len())
    .await?;
    Ok(chunk.len())
}

async fn allow_time(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query!(
        r#"-- allow_copy
        select set_config('statement_timeout', $1, true) as "limit!""#,
        LONGEST_COPY
    )
    .one(tx)
    .await?;
    Ok(())
}

/// Copies this chunk and those that follow it, as many as one copy takes: what the database says, by the deadline of each
/// piece, of what could be read.
async fn copy(
    connection: &mut PgConnection,
    deadline: Duration,
    purge: Uuid,
    first: Entries,
    chunks: &mut Pieces<Entries>,
) -> Result<Result<Result<usize, IntakeError>, sqlx::Error>, Elapsed> {
    const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    const TRAILER: &[u8] = &(-1_i16).to_be_bytes();
    let mut copy = match timeout(deadline, connection.copy_in_raw(COPY)).await? {
        Ok(copy) => copy,
        Err(error) => return Ok(Err(error)),
    };
    let (mut chunk, mut copied) = (Some(Ok(first)), 0);
    let mut rows = BytesMut::from(HEADER);
    for piece in 1.. {
        match chunk {
            Some(Ok(entries)) => {
                let entries: Entries = entries;
                entries.encode(purge, &mut rows);
                copied += entries.len();
            }
            Some(Err(error)) => {
                // A copy that is not ended would poison the connection; the first error is the one to tell.
                drop(timeout(deadline, copy.abort("the ids could not be read")).await?);
                return Ok(Ok(Err(error)));
            }
            None => break,
        }
        chunk = if piece < PIECES { chunks.recv().await } else { None };
        if chunk.is_none() {
            rows.put_slice(TRAILER);
        }
        let piece: Bytes = rows.split().freeze();
        if let Err(error) = timeout(deadline, copy.send(piece)).await? {
            return Ok(Err(error));
        }
    }
    let finished = timeout(deadline, copy.finish()).await?;
    Ok(finished.map(|rows| Ok(usize::try_from(rows).unwrap_or(usize::MAX).min(copied))))
}
