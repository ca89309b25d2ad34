//! The pools of connections: each connection is checked before it is handed out, and one that does not answer makes
//! all connections of the same age or older suspect.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use sqlx::postgres::{PgPool, PgPoolOptions};

use super::deadlines::{Deadlines, Limits};

/// A connection that was idle for this long is tested before use.
const RESTED: Duration = Duration::from_secs(5);

/// The names of the two pools.
pub(super) const ENGINE: &str = "engine";
pub(super) const REQUESTS: &str = "requests";

/// A quarter of the connections of requests, at least one, is reserved for requests that protect (a hold, a stop, a
/// pause, and the readiness check), so that they find one however many others wait.
pub(super) fn ordinary(connections: u32) -> u32 {
    connections.saturating_sub((connections / 4).max(1)).max(1)
}

/// A pool of at most this many.
pub(super) fn pool(
    max_connections: u32,
    limits: Limits,
    deadlines: &Deadlines,
    pulse: &Pulse,
) -> PgPoolOptions {
    let (pulse, ping) = (pulse.clone(), deadlines.ping);
    PgPoolOptions::new()
        .max_connections(max_connections.max(1))
        .acquire_timeout(limits.connection)
        .idle_timeout(Duration::from_mins(1))
        .test_before_acquire(false)
        .before_acquire(move |connection, meta| {
            let pulse = pulse.clone();
            Box::pin(async move {
                if pulse.is_suspect(meta.age) {
                    return Ok(false);
                }
                if meta.idle_for < RESTED {
                    return Ok(true);
                }
                let is_alive = matches!(tokio::time::timeout(ping, connection.ping()).await, Ok(Ok(())));
                if !is_alive {
                    pulse.missed();
                }
                Ok(is_alive)
            })
        })
}

/// Remembers when a connection was last found broken. What broke one has probably broken others: connections of the
/// same age or older are replaced, instead of waiting for a timeout of each.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulse {
    /// A connection did not answer, was cut, or leads to a server that takes no writes.
    pub(super) fn missed(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_suspect(&self, age: Duration) -> bool {
        let missed = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        missed.is_some_and(|missed| missed.elapsed() < age)
    }
}

/// The connections of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Whose it is: `engine` or `requests`.
    pub name: &'static str,
    /// Idle connections.
    pub idle: u32,
    /// Connections that are in use, or being opened.
    pub in_use: u32,
    /// As many as it may have.
    pub max: u32,
}

impl PoolState {
    pub(super) fn of(name: &'static str, pool: &PgPool) -> Self {
        // The two are not read at one moment.
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX).min(pool.size());
        let in_use = pool.size().saturating_sub(idle);
        Self { name, idle, in_use, max: pool.options().get_max_connections() }
    }
}
