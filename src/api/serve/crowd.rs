//! All connections: so many at most. Who comes when there is no room takes the place of the one that has been without a
//! request for longest; where each has one, he waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::pulse::Pulse;

/// While somebody waits for a place, it is looked so often who might give up his.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub(super) struct Crowd {
    room: Arc<Semaphore>,
    places: Arc<Mutex<Places>>,
}

#[derive(Debug, Default)]
struct Places {
    taken: u64,
    /// By the order in which they came.
    of: BTreeMap<u64, (Arc<Pulse>, CancellationToken)>,
}

impl Crowd {
    pub(super) fn new(most: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(most)), places: Arc::default() }
    }

    /// A place, once there is one.
    pub(super) async fn enter(&self) -> Place {
        let mut permit = Arc::clone(&self.room).try_acquire_owned().ok();
        while permit.is_none() {
            // One that has a request now may be without one a moment later.
            self.give_one_up();
            let freed = timeout(AGAIN, Arc::clone(&self.room).acquire_owned()).await;
            // Nobody closes the semaphore.
            permit = freed.ok().and_then(Result::ok);
        }
        let (pulse, given_up) = (Arc::new(Pulse::new()), CancellationToken::new());
        let mut places = self.places();
        places.taken += 1;
        let number = places.taken;
        places.of.insert(number, (Arc::clone(&pulse), given_up.clone()));
        drop(places);
        Place { crowd: self.clone(), number, pulse, given_up, _permit: permit }
    }

    fn give_one_up(&self) {
        let places = self.places();
        let quiet =
            places.of.values().filter(|(pulse, given_up)| !given_up.is_cancelled() && pulse.is_quiet());
        if let Some((_, given_up)) = quiet.min_by_key(|(pulse, _)| pulse.quiet_since()) {
            given_up.cancel();
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Crowd,
    number: u64,
    pulse: Arc<Pulse>,
    given_up: CancellationToken,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Place {
    pub(super) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// Waits until somebody else has it.
    pub(super) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.places().of.remove(&self.number);
    }
}
