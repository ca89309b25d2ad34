//! The activity of one connection, for its timeouts.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Version;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::api::terms::ConnectionTerms;

/// A shorter pause says nothing about a peer: its packets may be on their way.
const MOMENT: Duration = Duration::from_millis(500);

/// The running requests of a connection, and what it waits for.
#[derive(Debug)]
pub(super) struct Pulse {
    state: Mutex<State>,
    listening: Notify,
}

#[derive(Debug)]
struct State {
    /// The running requests; if the client has to read a piece of the answer before the next is produced, since when.
    requests: BTreeMap<u64, Option<Instant>>,
    begun: u64,
    /// That of the last request; none before the first.
    version: Option<Version>,
    /// Since when it is idle.
    quiet_since: Instant,
    /// When the first byte came since then.
    first_byte: Option<Instant>,
    /// Since when the peer does not read, though there is data to send.
    stuck_since: Option<Instant>,
    /// It went on to take after it had taken nothing for a moment: it reads, if slowly.
    is_reader: bool,
    /// Its request is an event stream.
    is_listener: bool,
}

/// Whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// No request came, or not all of its head.
    Quiet,
    /// The answer is not read.
    Unread,
}

/// Which connections may be replaced, in this order; among equals, the one that has been so for longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spare {
    /// It takes nothing of its answers, and has had its time.
    Unread(Instant),
    /// It is idle.
    Quiet(Instant),
}

impl Pulse {
    pub(super) fn new() -> Self {
        let state = Mutex::new(State {
            requests: BTreeMap::new(),
            begun: 0,
            version: None,
            quiet_since: Instant::now(),
            first_byte: None,
            stuck_since: None,
            is_reader: false,
            is_listener: false,
        });
        Self { state, listening: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that bytes came.
    pub(super) fn beat(&self, now: Instant) {
        let mut state = self.state();
        if state.requests.is_empty() {
            state.first_byte.get_or_insert(now);
        }
    }

    /// Notes that the peer takes no more for now.
    pub(super) fn stick(&self, now: Instant) {
        self.state().stuck_since.get_or_insert(now);
    }

    /// Notes that the peer has taken something.
    pub(super) fn unstick(&self, now: Instant) {
        let mut state = self.state();
        let Some(since) = state.stuck_since.take() else { return };
        state.is_reader |= now.saturating_duration_since(since) >= MOMENT;
        // Before that it could not have read an answer, and hardly have asked again.
        state.quiet_since = now;
        state.first_byte = state.first_byte.map(|_| now);
    }

    /// Notes that a request came.
    pub(super) fn begin(pulse: Arc<Self>, version: Version) -> UnderWay {
        let mut state = pulse.state();
        state.begun += 1;
        state.version = Some(version);
        state.first_byte = None;
        let number = state.begun;
        state.requests.insert(number, None);
        drop(state);
        UnderWay { pulse, number }
    }

    /// Waits until its request is an event stream.
    pub(super) async fn listening(&self) {
        self.listening.notified().await;
    }

    /// It is idle.
    pub(super) fn is_quiet(&self) -> bool {
        self.state().requests.is_empty()
    }

    /// A request came, at some time: there may be an answer on its way.
    pub(super) fn has_asked(&self) -> bool {
        self.state().version.is_some()
    }

    /// The peer does not read, though there is data to send.
    pub(super) fn is_stuck(&self) -> bool {
        self.state().stuck_since.is_some()
    }

    /// The peer takes nothing of its answers, and has had its time for that as long as others wait for its place.
    pub(super) fn is_unread(&self, terms: &ConnectionTerms, now: Instant) -> bool {
        matches!(self.spare(terms, now), Some(Spare::Unread(_)))
    }

    /// Whether others may have its place.
    pub(super) fn spare(&self, terms: &ConnectionTerms, now: Instant) -> Option<Spare> {
        let state = self.state();
        // A client that has read before may pause as long as one that sends a body.
        let patience = if state.is_reader { terms.stalled } else { MOMENT };
        let unread = state.stuck_since.map(|since| since + patience);
        // The socket of HTTP/2 goes on where every stream is stuck; and what is handed over at once takes a slow reader a while.
        let unread = unread.or_else(|| state.streams_stuck_since().map(|since| since + terms.stalled));
        match unread {
            Some(over) => (over <= now).then_some(Spare::Unread(over)),
            None if !state.requests.is_empty() => None,
            None => (state.quiet_since + MOMENT <= now).then_some(Spare::Quiet(state.quiet_since)),
        }
    }

    /// Whether the peer has had its time.
    pub(super) fn overdue(&self, terms: &ConnectionTerms, now: Instant) -> Option<Overdue> {
        let state = self.state();
        let has_had = |since: Instant, time: Duration| now.saturating_duration_since(since) >= time;
        // Event streams carry little data, and it is not buffered.
        let patience = if state.is_listener { terms.stalled } else { terms.unread };
        if state
            .stuck_since
            .iter()
            .chain(state.requests.values().flatten())
            .any(|since| has_had(*since, patience))
        {
            return Some(Overdue::Unread);
        }
        let is_over = match (state.version, state.first_byte) {
            _ if !state.requests.is_empty() || state.stuck_since.is_some() => false,
            (None, _) => has_had(state.quiet_since, terms.head),
            // On HTTP/2 bytes come and go without a request: only HTTP/1 begins a head with its first byte.
            (Some(version), Some(first_byte)) if version < Version::HTTP_2 => has_had(first_byte, terms.head),
            _ => has_had(state.quiet_since, terms.idle),
        };
        is_over.then_some(Overdue::Quiet)
    }
}

impl State {
    /// Since when all answers of an HTTP/2 connection wait for the peer to read.
    fn streams_stuck_since(&self) -> Option<Instant> {
        if self.version < Some(Version::HTTP_2) {
            return None;
        }
        let since: Option<Vec<Instant>> = self.requests.values().copied().collect();
        since?.into_iter().max()
    }
}

/// One request, until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    pulse: Arc<Pulse>,
    number: u64,
}

impl UnderWay {
    /// It is an event stream.
    pub(super) fn listens(&self) {
        self.pulse.state().is_listener = true;
        self.pulse.listening.notify_one();
    }

    fn handed_since(&self, since: Option<Instant>) {
        self.pulse.state().requests.insert(self.number, since);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.pulse.state();
        state.requests.remove(&self.number);
        if state.requests.is_empty() {
            state.quiet_since = Instant::now();
        }
    }
}

/// The body of an answer, which notes how it is taken.
#[derive(Debug)]
pub(super) struct Watched {
    body: Body,
    under_way: UnderWay,
}

impl Watched {
    pub(super) fn new(body: Body, under_way: UnderWay) -> Self {
        // Its head is there to be taken; of a peer that opens no window for more nothing more is ever asked.
        under_way.handed_since(Some(Instant::now()));
        Self { body, under_way }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        // Asked for more than there is, it is we who have to do something; else it is the client.
        self.under_way.handed_since(polled.is_ready().then(Instant::now));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: ConnectionTerms = ConnectionTerms {
        most: 1,
        head: Duration::from_secs(20),
        idle: Duration::from_secs(80),
        whole: Duration::from_mins(2),
        large_bodies: 1,
        uploads: 1,
        reads: 1,
        waits: 1,
        streams: 1,
        unread_answers: 1,
        stalled: Duration::from_secs(40),
        unread: Duration::from_secs(160),
        keep_alive: Duration::from_mins(1),
    };

    fn later(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    fn answered(pulse: &Arc<Pulse>, version: Version) {
        drop(Pulse::begin(Arc::clone(pulse), version));
    }

    #[test]
    fn a_head_has_less_time_than_the_rest_between_two_requests() {
        let pulse = Arc::new(Pulse::new());
        pulse.beat(later(10));
        assert_eq!(pulse.overdue(&TERMS, later(19)), None);
        assert_eq!(
            pulse.overdue(&TERMS, later(20)),
            Some(Overdue::Quiet),
            "bytes that make no head buy no time"
        );
        answered(&pulse, Version::HTTP_11);
        assert_eq!(pulse.overdue(&TERMS, later(79)), None);
        assert_eq!(pulse.overdue(&TERMS, later(80)), Some(Overdue::Quiet), "no byte came at all");
        pulse.beat(later(30));
        pulse.beat(later(45));
        assert_eq!(pulse.overdue(&TERMS, later(49)), None);
        assert_eq!(pulse.overdue(&TERMS, later(51)), Some(Overdue::Quiet), "the first byte counts");
        answered(&pulse, Version::HTTP_10);
        assert_eq!(pulse.overdue(&TERMS, later(51)), None);
    }

    #[test]
    fn pings_of_http_2_neither_begin_a_head_nor_prolong_the_rest() {
        let pulse = Arc::new(Pulse::new());
        answered(&pulse, Version::HTTP_2);
        for seconds in [1, 30, 60] {
            pulse.beat(later(seconds));
        }
        assert_eq!(pulse.overdue(&TERMS, later(79)), None);
        assert_eq!(pulse.overdue(&TERMS, later(80)), Some(Overdue::Quiet));
    }

    #[test]
    fn a_request_under_way_has_time_until_its_answer_is_not_taken() {
        let pulse = Arc::new(Pulse::new());
        let [slow, stuck] = [(); 2].map(|()| Pulse::begin(Arc::clone(&pulse), Version::HTTP_2));
        assert_eq!(pulse.overdue(&TERMS, later(1000)), None, "the service may take its time");
        stuck.handed_since(Some(Instant::now()));
        assert_eq!(pulse.overdue(&TERMS, later(159)), None);
        assert_eq!(pulse.overdue(&TERMS, later(160)), Some(Overdue::Unread));
        stuck.handed_since(None);
        assert_eq!(pulse.overdue(&TERMS, later(1000)), None);
        drop(stuck);
        assert!(!pulse.is_quiet());
        drop(slow);
        assert!(pulse.is_quiet());
    }
    #[test]
    fn who_takes_nothing_is_neither_at_rest_nor_slow_with_a_head() {
        let pulse = Arc::new(Pulse::new());
        answered(&pulse, Version::HTTP_11);
        pulse.beat(later(1));
        pulse.stick(later(1));
        pulse.stick(later(100));
        assert_eq!(pulse.overdue(&TERMS, later(160)), None);
        assert_eq!(pulse.overdue(&TERMS, later(162)), Some(Overdue::Unread));
        pulse.unstick(later(150));
        assert_eq!(pulse.overdue(&TERMS, later(169)), None, "only now it can read the answer, and ask again");
        assert_eq!(pulse.overdue(&TERMS, later(171)), Some(Overdue::Quiet));
    }

    #[test]
    fn streams_that_nobody_takes_are_spare_where_all_of_a_connection_are() {
        let pulse = Arc::new(Pulse::new());
        let [stuck, other] = [(); 2].map(|()| Pulse::begin(Arc::clone(&pulse), Version::HTTP_2));
        stuck.handed_since(Some(later(0)));
        assert_eq!(pulse.spare(&TERMS, later(100)), None, "an answer is owed");
        other.handed_since(Some(later(30)));
        assert_eq!(pulse.spare(&TERMS, later(69)), None);
        assert!(pulse.is_unread(&TERMS, later(71)));
        other.handed_since(None);
        assert!(!pulse.is_unread(&TERMS, later(71)));
        drop((stuck, other));
        assert!(matches!(pulse.spare(&TERMS, later(71)), Some(Spare::Quiet(_))));
    }
}
