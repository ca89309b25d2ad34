//! Limits of requests and connections.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// What one request may bring.
#[derive(Debug, Clone)]
pub struct IntakeTerms {
    /// Where uploads are spooled.
    pub spool_dir: PathBuf,
    /// The most ids.
    pub max_ids: u64,
    /// The largest JSON body, in bytes.
    pub max_json: usize,
    /// Timeout of an upload.
    pub upload_timeout: Duration,
    /// Minimum bytes per second of a body.
    pub min_rate: u64,
}

/// The quotas of one key; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaTerms {
    /// Purges per minute.
    pub a_minute: Option<NonZeroU32>,
    /// Open purges.
    pub open: Option<NonZeroU32>,
}

/// How long peers may take, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionTerms {
    /// Maximum connections; further ones wait to be accepted.
    pub most: usize,
    /// From the opening of a connection, or the first byte of a later request, to the end of the request's head.
    pub head: Duration,
    /// How long a connection may be idle.
    pub idle: Duration,
    /// Maximum pause within a body; its rate is measured over the same time.
    pub stalled: Duration,
    /// Timeout of a whole JSON body: it is in memory meanwhile.
    pub whole: Duration,
    /// Maximum JSON bodies of more than 64 KiB in memory, of purges and of holds each. One key may use a quarter of
    /// these and of each of the next five.
    pub large_bodies: usize,
    /// Maximum concurrent uploads.
    pub uploads: usize,
    /// Maximum concurrent database reads.
    pub reads: usize,
    /// Maximum concurrent requests that wait for the end of a purge: they leave half of the connections free.
    pub waits: usize,
    /// Maximum event streams; their connections are counted separately.
    pub streams: usize,
    /// Maximum bytes of large answers that clients have not read yet.
    pub unread_answers: usize,
    /// How long a client may not read its answer.
    pub unread: Duration,
    /// After this silence a stream sends a keep-alive.
    pub keep_alive: Duration,
}

impl Default for ConnectionTerms {
    /// The values in production. `idle` is longer than proxies usually keep a connection: the side that sends requests
    /// must close first, or some requests get lost on the way.
    fn default() -> Self {
        Self {
            most: 1024,
            head: Duration::from_secs(15),
            idle: Duration::from_secs(75),
            stalled: Duration::from_secs(20),
            whole: Duration::from_mins(2),
            large_bodies: 8,
            uploads: 256,
            reads: 16,
            waits: 512,
            streams: 4096,
            unread_answers: 128 * 1024 * 1024,
            unread: Duration::from_mins(2),
            keep_alive: Duration::from_secs(15),
        }
    }
}

impl ConnectionTerms {
    /// How often a connection is checked: a quarter of the shortest timeout.
    pub(super) fn look(&self) -> Duration {
        self.head.min(self.idle).min(self.unread) / 4
    }
}
