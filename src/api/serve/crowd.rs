//! All connections: a maximum, of which a few places are kept spare. When only those are left, a new connection
//! replaces one whose peer does not read its answers, else the one that has been idle longest; if all have a running
//! request and read, it waits.
//!
//! Invariant: a client that reads, or waits for an answer, is never replaced.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::pulse::Pulse;
use crate::api::terms::ConnectionTerms;

/// How often to look for a connection to replace while a new one waits.
const AGAIN: Duration = Duration::from_millis(50);
/// One of this many places is kept spare.
const TO_ONE_SPARE: usize = 32;

#[derive(Debug, Clone)]
pub(super) struct Crowd {
    terms: ConnectionTerms,
    room: Arc<Semaphore>,
    spare: usize,
    /// For replaced connections that are still closing: as many as there are spare places.
    farewells: Arc<Semaphore>,
    places: Arc<Mutex<Places>>,
}

#[derive(Debug, Default)]
struct Places {
    taken: u64,
    /// By the order in which they came.
    of: BTreeMap<u64, (Arc<Pulse>, CancellationToken)>,
}

impl Crowd {
    pub(super) fn new(terms: ConnectionTerms) -> Self {
        let spare = terms.most / TO_ONE_SPARE;
        let [room, farewells] = [terms.most, spare].map(|places| Arc::new(Semaphore::new(places)));
        Self { terms, room, spare, farewells, places: Arc::default() }
    }

    /// A place, once there is one.
    pub(super) async fn enter(&self) -> Place {
        let mut permit = Arc::clone(&self.room).try_acquire_owned().ok();
        while permit.is_none() {
            // One that has a request now may be without one a moment later.
            self.make_room(self.spare + 1, Instant::now());
            let freed = timeout(AGAIN, Arc::clone(&self.room).acquire_owned()).await;
            // The semaphore is never closed.
            permit = freed.ok().and_then(Result::ok);
        }
        let (pulse, given_up) = (Arc::new(Pulse::new()), CancellationToken::new());
        let mut places = self.places();
        places.taken += 1;
        let number = places.taken;
        places.of.insert(number, (Arc::clone(&pulse), given_up.clone()));
        drop(places);
        // Before the next one arrives.
        self.make_room(self.spare, Instant::now());
        Place { crowd: self.clone(), number, pulse, given_up, permit }
    }

    /// Replaces as many connections as needed for this many places to be free soon.
    fn make_room(&self, wanted: usize, now: Instant) {
        let free = self.room.available_permits();
        if free >= wanted {
            return;
        }
        let places = self.places();
        let may_go = places
            .of
            .values()
            .filter_map(|(pulse, given_up)| pulse.spare(&self.terms, now).map(|spare| (spare, given_up)));
        // A replaced connection that has sent a request meanwhile keeps its place until that is answered.
        let (going, mut may_go): (Vec<_>, Vec<_>) = may_go.partition(|(_, given_up)| given_up.is_cancelled());
        may_go.sort_unstable_by_key(|(spare, _)| *spare);
        for (_, given_up) in may_go.iter().take(wanted.saturating_sub(free + going.len())) {
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
    /// None once it has left.
    permit: Option<OwnedSemaphorePermit>,
}

/// How a connection ends that has given up its place.
#[derive(Debug)]
pub(super) enum End {
    /// At once.
    Cut,
    /// Once its request was answered.
    Farewell { _kept: Option<OwnedSemaphorePermit> },
}

impl Place {
    pub(super) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// The place is free, while this connection goes on: it is counted elsewhere.
    pub(super) fn leave(&mut self) {
        self.crowd.places().of.remove(&self.number);
        self.permit = None;
    }

    /// It did not leave.
    pub(super) const fn is_kept(&self) -> bool {
        self.permit.is_some()
    }

    /// Waits until the place is needed; returns how to end then.
    pub(super) async fn given_up(&self) -> End {
        self.given_up.cancelled().await;
        if self.pulse.is_unread(&self.crowd.terms, Instant::now()) {
            return End::Cut;
        }
        if !self.pulse.is_quiet() {
            // It has asked meanwhile.
            return End::Farewell { _kept: None };
        }
        let farewell = Arc::clone(&self.crowd.farewells).try_acquire_owned();
        farewell
            .ok()
            .filter(|_| self.pulse.has_asked())
            .map_or(End::Cut, |place| End::Farewell { _kept: Some(place) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.places().of.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Version;

    use super::*;

    fn crowd(most: usize) -> Crowd {
        Crowd::new(ConnectionTerms { most, ..ConnectionTerms::default() })
    }

    async fn full(crowd: &Crowd) -> Vec<Place> {
        let mut places = Vec::new();
        for _ in 0..crowd.terms.most {
            places.push(crowd.enter().await);
        }
        places
    }

    /// Which of these, in the order in which they came, have given up their places.
    fn given_up(places: &[Place]) -> Vec<usize> {
        (0..places.len()).filter(|place| places[*place].given_up.is_cancelled()).collect()
    }

    #[tokio::test]
    async fn who_does_not_read_goes_before_who_rests_and_who_reads_or_waits_stays() {
        let crowd = crowd(5);
        let places = full(&crowd).await;
        let [waits, rests, asked_and_stuck, stuck, reads] = &places[..] else { unreachable!() };
        let begin = |place: &Place| Pulse::begin(place.pulse(), Version::HTTP_11);
        let requests = [waits, stuck, reads].map(begin);
        drop(begin(asked_and_stuck));
        let now = Instant::now();
        let ms = |millis| now + Duration::from_millis(millis);
        rests.pulse.stick(now);
        rests.pulse.unstick(now);
        asked_and_stuck.pulse.stick(now);
        stuck.pulse.stick(ms(1));
        reads.pulse.stick(now);
        reads.pulse.unstick(ms(700));
        reads.pulse.stick(ms(701));

        crowd.make_room(5, ms(400));
        assert_eq!(given_up(&places), [0; 0], "each has had no more than a moment");
        crowd.make_room(1, ms(2_000));
        assert_eq!(given_up(&places), [2]);
        crowd.make_room(1, ms(2_000));
        assert_eq!(given_up(&places), [2], "one place was wanted");
        crowd.make_room(2, ms(2_000));
        assert_eq!(given_up(&places), [2, 3]);
        crowd.make_room(5, ms(2_000));
        assert_eq!(given_up(&places), [1, 2, 3]);
        crowd.make_room(5, ms(20_000));
        assert_eq!(given_up(&places), [1, 2, 3], "it reads, if slowly");
        crowd.make_room(5, ms(21_000));
        assert_eq!(given_up(&places), [1, 2, 3, 4], "it has ceased to read");
        drop(requests);
    }

    /// Found in an attack: one a tenth of a second made room, and stayed for a second more.
    #[tokio::test]
    async fn as_many_make_room_as_come_and_some_places_are_spare() {
        let crowd = crowd(64);
        let places = full(&crowd).await;
        for place in &places {
            place.pulse.stick(Instant::now() - Duration::from_secs(1));
        }
        for come in 0..40 {
            crowd.make_room(crowd.spare + come, Instant::now());
            assert_eq!(given_up(&places).len(), crowd.spare + come);
        }
        for place in places {
            if place.given_up.is_cancelled() {
                assert!(matches!(place.given_up().await, End::Cut), "it keeps its place");
            }
        }
    }

    #[tokio::test]
    async fn a_few_say_farewell_at_a_time_and_only_those_who_have_asked() {
        let crowd = crowd(64);
        let places = full(&crowd).await;
        for place in &places[1..] {
            drop(Pulse::begin(place.pulse(), Version::HTTP_11));
        }
        let asks_again = Pulse::begin(places[1].pulse(), Version::HTTP_11);
        let mut farewells = Vec::new();
        for place in &places {
            place.given_up.cancel();
            if let End::Farewell { _kept: kept } = place.given_up().await {
                farewells.push((place.number, kept));
            }
        }
        let numbers: Vec<u64> = farewells.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [2, 3, 4], "one that has asked meanwhile, and as many as there are spare places");
        drop(asks_again);
    }
}
