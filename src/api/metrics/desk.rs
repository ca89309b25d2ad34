//! The state of `/metrics`: the last reading of the database, and the keys that were accepted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::meters::Meters;
use crate::store::Store;
use crate::store::views::metrics::Readings;

/// How long a reading of the database is reused.
const FRESH: Duration = Duration::from_secs(5);

/// Timeout for the database, for the key and for the readings each: scrapers usually wait ten seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How long an accepted key stays accepted while the database is down.
const REMEMBERED: Duration = Duration::from_hours(24);

/// How many keys are remembered.
const KEYS_REMEMBERED: usize = 8;

/// The state of `/metrics`.
#[derive(Debug)]
pub struct MetricsDesk {
    meters: Meters,
    is_open: bool,
    /// The last readings, `None` if they failed, and when.
    last: tokio::sync::Mutex<Option<(Instant, Option<Arc<Readings>>)>>,
    /// Digests of keys, and when each was let through last.
    keys: Mutex<Vec<([u8; 32], Instant)>>,
}

impl MetricsDesk {
    /// Shows these meters, to anybody or to keys with the scope `admin`.
    pub fn new(meters: Meters, is_open: bool) -> Self {
        Self { meters, is_open, last: tokio::sync::Mutex::default(), keys: Mutex::default() }
    }

    pub(in crate::api) fn meters(&self) -> &Meters {
        &self.meters
    }

    pub(super) const fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) async fn readings(&self, store: &Store) -> Option<Arc<Readings>> {
        let mut last = self.last.lock().await;
        if let Some((at, readings)) = &*last
            && at.elapsed() < FRESH
        {
            return readings.clone();
        }
        let readings = match tokio::time::timeout(PATIENCE, store.readings()).await {
            Ok(Ok(readings)) => Some(Arc::new(readings)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the metrics of the database are missing");
                None
            }
            Err(_) => {
                tracing::warn!("the database did not answer in time; its metrics are missing");
                None
            }
        };
        *last = Some((Instant::now(), readings.clone()));
        readings
    }

    /// Remembers or forgets a key, or returns whether it is remembered.
    fn with_keys<T>(&self, key: &str, act: impl FnOnce(&mut Vec<([u8; 32], Instant)>, [u8; 32]) -> T) -> T {
        let digest = Sha256::digest(key).into();
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut keys, digest)
    }

    pub(super) fn remember(&self, key: &str) {
        self.with_keys(key, |keys, digest| {
            keys.retain(|(known, _)| *known != digest);
            keys.push((digest, Instant::now()));
            if keys.len() > KEYS_REMEMBERED {
                keys.remove(0);
            }
        });
    }

    pub(super) fn forget(&self, key: &str) {
        self.with_keys(key, |keys, digest| keys.retain(|(known, _)| *known != digest));
    }

    pub(super) fn remembers(&self, key: &str) -> bool {
        self.with_keys(key, |keys, digest| {
            keys.iter().any(|(known, at)| *known == digest && at.elapsed() < REMEMBERED)
        })
    }
}
