//! Limits on concurrent uploads, large bodies, waits and unread answers, so that callers use bounded memory and files;
//! one key may use a quarter of each.
//!
//! Invariant: holds have places of their own, and calls that stop something need none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use uuid::Uuid;

use super::key_id::KeyId;
use super::problem::{self, Problem};
use super::terms::ConnectionTerms;

/// An answer of up to this many bytes needs no place.
const SMALL: u64 = 64 * 1024;
/// Maximum requests of a key that wait for a place; more are refused at once, because each takes a connection that
/// others need.
const LINE: usize = 64;
/// Places of answers are counted in these.
const KIB: u64 = 1024;

/// Room, shared by all requests.
#[derive(Debug, Clone)]
pub struct Room {
    /// For purges as large JSON bodies.
    pub(super) purges: Places,
    /// For holds as large JSON bodies.
    pub(super) holds: Places,
    /// For purges as uploads.
    pub(super) uploads: Places,
    /// For database reads: a caller with many requests only delays itself.
    pub(super) reads: Places,
    /// For requests that wait for the end of a purge.
    pub(super) waits: Places,
    /// For event streams.
    pub(super) streams: Places,
    /// For large answers until they are taken, in KiB.
    answers: Places,
}

impl Room {
    /// As much as these terms give.
    pub fn new(terms: &ConnectionTerms) -> Self {
        Self {
            purges: Places::new(terms.large_bodies, LINE),
            holds: Places::new(terms.large_bodies, LINE),
            uploads: Places::new(terms.uploads, LINE),
            reads: Places::new(terms.reads, LINE),
            waits: Places::new(terms.waits, 0),
            streams: Places::new(terms.streams, 0),
            // These answers are in memory already.
            answers: Places::new(terms.unread_answers >> 10, terms.unread_answers >> 13),
        }
    }

    /// Counts a large answer for this key until the client has read its last byte. Streams are produced no faster than
    /// they are read.
    pub(super) async fn keep(&self, key: KeyId, response: Response, patience: Duration) -> Response {
        let Some(size) = response.body().size_hint().exact().filter(|size| *size > SMALL) else {
            return response;
        };
        let (parts, body) = response.into_parts();
        let kept = async {
            let place = self.answers.take(key, size.div_ceil(KIB), patience).await?;
            Ok(Bytes::from_owner(Kept { bytes: problem::bytes_of(body).await?, _place: place }))
        };
        match kept.await {
            Ok(kept) => Response::from_parts(parts, Body::from(kept)),
            Err(problem) => Problem::into_response(problem),
        }
    }
}

/// Bytes with their place: given back when the last of them has gone out.
struct Kept {
    bytes: Bytes,
    _place: Place,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The number of places, a quarter of them for any one key.
#[derive(Debug, Clone)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    of_a_key: usize,
    /// How many requests of a key may wait.
    line: usize,
    by_key: Arc<Mutex<HashMap<Uuid, Weak<OfKey>>>>,
}

/// The places of one key.
#[derive(Debug)]
struct OfKey {
    places: Arc<Semaphore>,
    /// Those who have one, and those who wait.
    line: Arc<Semaphore>,
}

/// A place, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _key: Arc<OfKey>,
    _in_line: OwnedSemaphorePermit,
    _of_key: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Places {
    fn new(all: usize, line: usize) -> Self {
        let of_a_key = (all / 4).max(1);
        Self { all: Arc::new(Semaphore::new(all)), of_a_key, line, by_key: Arc::default() }
    }

    /// Waits for this many places, or for the maximum of a key, but no longer than `patience`.
    pub(super) async fn take(&self, key: KeyId, many: u64, patience: Duration) -> Result<Place, Problem> {
        let many =
            u32::try_from(many).unwrap_or(u32::MAX).min(u32::try_from(self.of_a_key).unwrap_or(u32::MAX));
        let key = self.of(key);
        let taking = async {
            let in_line = Arc::clone(&key.line).try_acquire_many_owned(many).ok()?;
            // First the key's own places: a key that has used them up waits without taking a shared place.
            let of_key = Arc::clone(&key.places).acquire_many_owned(many).await.ok()?;
            let of_all = Arc::clone(&self.all).acquire_many_owned(many).await.ok()?;
            Some(Place { _key: Arc::clone(&key), _in_line: in_line, _of_key: of_key, _of_all: of_all })
        };
        // The semaphores are never closed.
        if let Ok(Some(place)) = timeout(patience, taking).await {
            return Ok(place);
        }
        let detail = "too many requests at once, of this key or in total; try again in a moment";
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail))
    }

    /// The places of a key; forgotten when it has none.
    fn of(&self, KeyId(key): KeyId) -> Arc<OfKey> {
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = by_key.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        by_key.retain(|_, places| places.strong_count() > 0);
        let (places, line) = (Semaphore::new(self.of_a_key), Semaphore::new(self.of_a_key + self.line));
        let of_key = Arc::new(OfKey { places: Arc::new(places), line: Arc::new(line) });
        by_key.insert(key, Arc::downgrade(&of_key));
        of_key
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    async fn take(places: &Places, key: u128, many: u64) -> Option<Place> {
        places.take(KeyId(Uuid::from_u128(key)), many, Duration::ZERO).await.ok()
    }

    #[tokio::test]
    async fn a_key_takes_a_quarter_and_all_together_no_more_than_there_is() {
        let places = Places::new(8, 8);
        let mut taken = Vec::new();
        for key in 0..4 {
            taken.push(take(&places, key, 1).await.unwrap());
            taken.push(take(&places, key, 1).await.unwrap());
            assert!(take(&places, key, 1).await.is_none(), "more than a quarter");
        }
        assert!(take(&places, 7, 1).await.is_none(), "more than there is");
        taken.truncate(6);
        assert!(take(&places, 0, 1).await.is_none());
        assert!(take(&places, 3, 1).await.is_some());
        drop(taken);
        assert!(take(&places, 0, 1_000_000).await.is_some(), "what is larger than a share takes it whole");
        assert!(places.by_key.lock().unwrap().values().all(|places| places.strong_count() == 0));
    }

    /// Found in an attack: a thousand uploads of one key waited for its places and left no connection for others.
    #[tokio::test]
    async fn so_many_of_a_key_wait_and_more_are_refused_at_once() {
        let places = Places::new(4, 2);
        let key = KeyId(Uuid::from_u128(1));
        let taken = places.take(key, 1, Duration::ZERO).await.unwrap();
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let places = places.clone();
                tokio::spawn(async move { places.take(key, 1, Duration::from_secs(30)).await.is_ok() })
            })
            .collect();
        tokio::task::yield_now().await;
        let more = places.take(key, 1, Duration::from_secs(30)).now_or_never();
        assert!(more.is_some_and(|refused| refused.is_err()), "it does not wait");
        assert!(take(&places, 2, 1).await.is_some(), "another key");
        drop(taken);
        for waiting in waiting {
            assert!(waiting.await.unwrap());
        }
    }
}
