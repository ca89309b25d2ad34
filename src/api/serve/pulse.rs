//! What goes on on one connection, as far as somebody has to lose patience with it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Version;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::api::terms::ConnectionTerms;

/// Which requests of a connection are under way, and what it waits for.
#[derive(Debug)]
pub(super) struct Pulse(Mutex<State>);

#[derive(Debug)]
struct State {
    /// The requests under way; where the client has to take a piece of the answer before the next is made, since when.
    requests: BTreeMap<u64, Option<Instant>>,
    begun: u64,
    /// That of the last request; none before the first.
    version: Option<Version>,
    /// Since when no request is under way.
    quiet_since: Instant,
    /// When the first byte came since then.
    first_byte: Option<Instant>,
}

/// Whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// No request came, or not all of its head.
    Quiet,
    /// Nobody takes the answer.
    Unread,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            requests: BTreeMap::new(),
            begun: 0,
            version: None,
            quiet_since: Instant::now(),
            first_byte: None,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that bytes came.
    pub(super) fn beat(&self, now: Instant) {
        let mut state = self.state();
        if state.requests.is_empty() {
            state.first_byte.get_or_insert(now);
        }
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

    /// No request is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.state().requests.is_empty()
    }

    /// A request came, at some time: there may be an answer on its way.
    pub(super) fn has_asked(&self) -> bool {
        self.state().version.is_some()
    }

    /// Since when no request is under way, where none is.
    pub(super) fn quiet_since(&self) -> Instant {
        self.state().quiet_since
    }

    /// Whether the peer has had its time.
    pub(super) fn overdue(&self, terms: &ConnectionTerms, now: Instant) -> Option<Overdue> {
        let state = self.state();
        let has_had = |since: Instant, time: Duration| now.saturating_duration_since(since) >= time;
        if state.requests.values().flatten().any(|since| has_had(*since, terms.unread)) {
            return Some(Overdue::Unread);
        }
        let is_over = match (state.version, state.first_byte) {
            _ if !state.requests.is_empty() => false,
            (None, _) => has_had(state.quiet_since, terms.head),
            // On HTTP/2 bytes come and go without a request: only HTTP/1 begins a head with its first byte.
            (Some(version), Some(first_byte)) if version < Version::HTTP_2 => has_had(first_byte, terms.head),
            _ => has_had(state.quiet_since, terms.idle),
        };
        is_over.then_some(Overdue::Quiet)
    }
}

/// One request, until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    pulse: Arc<Pulse>,
    number: u64,
}

impl UnderWay {
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
        unread_answers: 1,
        stalled: Duration::from_secs(40),
        unread: Duration::from_secs(160),
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
}
