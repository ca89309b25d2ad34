//! Bytes to ids: an upload (CSV, NDJSON) or a list (from JSON) becomes conversation ids that are checked, counted,
//! free of repeats, and can be read in the order of the request or sorted by id.
//!
//! An upload is read in batches, and only the work on a batch occupies a thread: a sender that trickles costs memory
//! of a fixed size and no thread. What was read goes to two temporary files (see [`spool`](self::spool())), so that
//! nothing of it is used before its last line was checked.
//!
//! Invariant: intake never holds a database connection, and knows neither HTTP nor SQL. Its memory doesn't grow with
//! the length of an upload, except for one bit per id.

mod csv;
mod error;
mod id;
mod lines;
mod merge;
mod ndjson;
mod repeats;
mod runs;
mod spooled;
#[cfg(test)]
mod tests;
mod upload;
mod writer;

use std::error::Error;
use std::path::Path;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

pub use error::{BadLine, IntakeError};
pub use id::parse_id;
pub use spooled::{Ids, Index, Spooled};
use upload::Upload;

/// How many bytes are gathered before a thread is asked to work on them.
const BATCH: usize = 256 * 1024;

/// What the bytes of an upload are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Rows with a column `conversationId`, or one id per line (`text/csv`).
    Csv,
    /// One JSON value a line: an id, or an object with `conversationId` (`application/x-ndjson`).
    Ndjson,
}

/// How much of an upload is read before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most ids, repeats included. More than `u32::MAX` is the same as `u32::MAX`.
    pub max_ids: u64,
    /// The longest line of NDJSON, field of CSV and first line of CSV, in bytes.
    pub max_line: usize,
}

impl Default for Limits {
    /// Ten million ids, as `intake.max_ids` says; lines of 1 MiB, since exports carry whole conversations in a line.
    fn default() -> Self {
        Self { max_ids: 10_000_000, max_line: 1024 * 1024 }
    }
}

/// Reads an upload to its end, checks every line and spools the ids to temporary files in `spool_dir`.
///
/// The files have no name and vanish with the [`Spooled`], with an error, with the process, and with this future:
/// where it is dropped in the middle, the batch that a thread is working on is the last one.
/// They take 36 bytes an id. A bad line refuses the whole upload.
pub async fn spool<S, E>(
    format: Format,
    mut body: S,
    spool_dir: &Path,
    limits: Limits,
) -> Result<Spooled, IntakeError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
    E: Error + Send + Sync + 'static,
{
    let spool_dir = spool_dir.to_owned();
    let mut upload = blocking(move || Upload::begin(format, &spool_dir, limits)).await?;
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(chunk) = body.next().await {
        let mut chunk = chunk.map_err(|source| IntakeError::Broken { source: Box::new(source) })?;
        while !chunk.is_empty() {
            let room = BATCH - batch.len();
            batch.extend_from_slice(&chunk.split_to(room.min(chunk.len())));
            if batch.len() == BATCH {
                (upload, batch) = blocking(move || {
                    upload.feed(&batch)?;
                    batch.clear();
                    Ok((upload, batch))
                })
                .await?;
            }
        }
    }
    blocking(move || {
        upload.feed(&batch)?;
        drop(batch);
        upload.finish()
    })
    .await
}

/// Runs work that computes or waits for a disk on a thread that may be blocked.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IntakeError> + Send + 'static,
) -> Result<T, IntakeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(IntakeError::Interrupted),
        },
    }
}
