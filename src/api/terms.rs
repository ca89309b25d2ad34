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
    /// An upload may take so long.
    pub upload_timeout: Duration,
    /// So many bytes a second of a body must come.
    pub min_rate: u64,
}

/// What one key may ask for; nothing is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaTerms {
    /// So many purges a minute.
    pub a_minute: Option<NonZeroU32>,
    /// So many that have not ended.
    pub open: Option<NonZeroU32>,
}

/// How long peers may take, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionTerms {
    /// So many connections are served at once; who comes then waits to be accepted.
    pub most: usize,
    /// From the opening of a connection, or the first byte of a later request, to the end of the request's head.
    pub head: Duration,
    /// A connection without a request may stay so long.
    pub idle: Duration,
    /// The body of a request may pause so long; over so long its rate is measured.
    pub stalled: Duration,
    /// A JSON body may take so long in all: it is kept in memory meanwhile.
    pub whole: Duration,
    /// So many JSON bodies of more than 64 KiB are kept in memory at once, of purges and of holds each. Of these and of the
    /// next five whoever uses one key has a quarter.
    pub large_bodies: usize,
    /// So many uploads are spooled at once.
    pub uploads: usize,
    /// So many requests ask the database for something to read at once.
    pub reads: usize,
    /// So many requests wait for the end of a purge at once: all together leave half of the connections.
    pub waits: usize,
    /// So many listen to what happens at once; their connections are not among the others.
    pub streams: usize,
    /// Large answers that nobody has taken yet have so many bytes at most.
    pub unread_answers: usize,
    /// A client may take nothing of an answer for so long.
    pub unread: Duration,
    /// Who listens, and is told nothing for so long, is told that the stream lives.
    pub keep_alive: Duration,
}

impl Default for ConnectionTerms {
    /// What holds in production. `idle` is longer than what usual proxies keep a connection for: who closes first must
    /// be the one that sends requests, or some of them get lost on the way.
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
    /// How often a connection is looked at: each patience is kept to a quarter of the shortest.
    pub(super) fn look(&self) -> Duration {
        self.head.min(self.idle).min(self.unread) / 4
    }
}
