//! Server-Sent Events: what all streams have in common.
//!
//! A stream ends when its key is revoked or the service stops; a listener reconnects with the id of its last event,
//! and misses nothing.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::header::{CONNECTION, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Version};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::unfold;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::followed::Following;
use super::key_id::KeyId;
use super::problem::Problem;
use super::room::{Place, Places};
use super::state::ApiState;
use crate::store::StoreError;

/// The media type.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// What a client that comes again says it had last.
const LAST_EVENT_ID: &str = "last-event-id";

/// Proxies that gather answers are told not to.
const NOT_GATHERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// That an answer goes on for as long as somebody listens: its connection has a place of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listened;

/// Where a client's events end, as he says; empty is nothing.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let text = value.to_str().map_err(|_| wrong_last_event_id("is not the id of an event"))?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()))
}

/// The id of a client's last event is none.
pub(super) fn wrong_last_event_id(detail: &str) -> Problem {
    Problem::new(axum::http::StatusCode::BAD_REQUEST, "invalid_header", format!("Last-Event-ID: {detail}"))
}

/// A listener, as far as all are alike.
pub(super) struct Listener {
    key: KeyId,
    stop: CancellationToken,
    in_force: Following<bool>,
    reads: Places,
    patience: Duration,
    _place: Place,
}

impl Listener {
    /// Takes a place.
    pub(super) async fn enter(state: &ApiState, key: KeyId) -> Result<Self, Problem> {
        let place = state.room.streams.take(key, 1, Duration::ZERO).await?;
        let (store, KeyId(id)) = (state.store.clone(), key);
        let in_force = state.keys.follow(id, move || {
            let store = store.clone();
            async move { store.is_key_in_force(id).await.ok() }
        });
        let (reads, patience) = (state.room.reads.clone(), state.request_timeout);
        Ok(Self { key, stop: state.live.stopped(), in_force, reads, patience, _place: place })
    }

    /// What is read of the database, with a place among those who read; none where the stream has to end.
    pub(super) async fn read<T>(
        &mut self,
        reading: impl Future<Output = Result<T, StoreError>>,
    ) -> Option<T> {
        let (reads, key, patience) = (self.reads.clone(), self.key, self.patience);
        let read = async {
            let _place = reads.take(key, 1, patience).await.ok()?;
            reading.await.inspect_err(|error| tracing::warn!(%error, "a stream of events ends")).ok()
        };
        self.unless_over(read).await?
    }

    /// What comes of this, unless the stream has to end before.
    pub(super) async fn unless_over<T>(&mut self, waiting: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            Some(_) = self.in_force.until(|in_force| !in_force) => None,
            done = waiting => Some(done),
        }
    }
}

/// What is told, one message after the other.
pub(super) trait Telling: Send + Sized + 'static {
    /// The next message; none at the end.
    fn next(&mut self) -> impl Future<Output = Option<Event>> + Send;
}

/// The answer that tells it.
pub(super) fn answer(state: &ApiState, version: Version, telling: impl Telling) -> Response {
    // What moves is an address: the stream holds its state twice, once at rest and once at work.
    let messages = unfold(Box::new(telling), |mut telling| async {
        let message = telling.next().await?;
        Some((Ok::<_, Infallible>(message), telling))
    });
    let keep_alive = KeepAlive::new().interval(state.connections.keep_alive);
    let mut response = Sse::new(messages).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(NOT_GATHERED.0, NOT_GATHERED.1);
    if version < Version::HTTP_2 {
        // It has left its place among the others, and there may be none any more.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        response.extensions_mut().insert(Listened);
    }
    response
}

/// A message of this kind; one with an id moves the place from which a client goes on.
pub(super) fn message(kind: &str, id: Option<String>, data: &impl Serialize) -> Option<Event> {
    let message = id.map_or_else(Event::default, |id| Event::default().id(id)).event(kind).json_data(data);
    message.inspect_err(|error| tracing::error!(kind, %error, "a message can't be written")).ok()
}
