//! Live events: read once for all listeners of this process. Each listener reads new events from a short buffer at its
//! own pace; one that falls behind reads the database itself.
//!
//! Invariant: nothing waits for a listener, and nothing is read while nobody listens.

mod feed;
mod purges;
mod reading;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::Store;
use crate::store::views::live::PurgeLook;

pub(super) use feed::Heard;
pub(super) use purges::{HeardOfPurge, Latest};

use feed::Feed;
use purges::OfPurge;

/// The handle of listeners; all clones are one.
#[derive(Clone)]
pub struct Live(Arc<Shared>);

struct Shared {
    store: Store,
    /// Something new was numbered.
    wake: Arc<Notify>,
    /// Ends every stream.
    stop: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// A reader is running.
    is_reading: bool,
    feed: Feed,
    purges: HashMap<Uuid, OfPurge>,
}

impl State {
    fn has_listeners(&self) -> bool {
        self.feed.listeners() > 0 || !self.purges.is_empty()
    }
}

impl Live {
    /// Reads from this store, and ends all streams at a stop.
    pub fn new(store: Store, stop: CancellationToken) -> Self {
        Self(Arc::new(Shared { store, wake: Arc::default(), stop, state: Mutex::default() }))
    }

    /// How many listen to the feed, and how many to purges.
    pub(super) fn listeners(&self) -> (usize, usize) {
        let state = self.state();
        (state.feed.listeners(), state.purges.values().map(OfPurge::listeners).sum())
    }

    /// The notifier for possible news. Not `Live` itself: the store keeps it and must not hold `Live`.
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.0.wake)
    }

    pub(super) fn stopped(&self) -> CancellationToken {
        self.0.stop.clone()
    }

    /// Listens to the feed from now on.
    pub(super) fn listen(&self) -> FeedEar {
        let mut state = self.state();
        let moved = state.feed.join();
        self.read_on(&mut state);
        FeedEar { live: self.clone(), moved }
    }

    /// Listens to a purge, which has this state, from now on.
    pub(super) fn listen_to(&self, look: PurgeLook) -> PurgeEar {
        let mut state = self.state();
        let purge = look.id;
        let moved = state.purges.entry(purge).or_insert_with(|| OfPurge::new(look)).join();
        self.read_on(&mut state);
        PurgeEar { live: self.clone(), purge, moved }
    }

    /// Starts a reader, now that somebody listens.
    fn read_on(&self, state: &mut State) {
        if !std::mem::replace(&mut state.is_reading, true) {
            tokio::spawn(self.clone().read());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

/// A listener to the feed, until this is dropped.
pub(super) struct FeedEar {
    live: Live,
    moved: watch::Receiver<i64>,
}

impl FeedEar {
    /// The store from which listeners that are behind read.
    pub(super) fn store(&self) -> Store {
        self.live.0.store.clone()
    }

    /// The buffered events after this number.
    pub(super) fn after(&self, no: i64) -> Heard {
        self.live.state().feed.after(no)
    }

    /// Waits until more is known than at the last wait.
    pub(super) async fn moved(&mut self) {
        // Its other end lives as long as this listens.
        let _ = self.moved.changed().await;
    }
}

impl Drop for FeedEar {
    fn drop(&mut self) {
        self.live.state().feed.leave();
    }
}

/// A listener to a purge, until this is dropped.
pub(super) struct PurgeEar {
    live: Live,
    purge: Uuid,
    moved: watch::Receiver<u64>,
}

impl PurgeEar {
    /// The store from which listeners that are behind read.
    pub(super) fn store(&self) -> Store {
        self.live.0.store.clone()
    }

    /// The buffered events after this number, and the changes after this version.
    pub(super) fn after(&self, event_no: i32, version: u64) -> Option<HeardOfPurge> {
        self.live.state().purges.get(&self.purge).map(|purge| purge.after(event_no, version))
    }

    /// Waits until more is known than at the last wait.
    pub(super) async fn moved(&mut self) {
        let _ = self.moved.changed().await;
    }
}

impl Drop for PurgeEar {
    fn drop(&mut self) {
        let mut state = self.live.state();
        if state.purges.get_mut(&self.purge).is_some_and(OfPurge::leave) {
            state.purges.remove(&self.purge);
        }
    }
}
