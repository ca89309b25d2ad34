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

/// The header with the last event of a client that reconnects.
const LAST_EVENT_ID: &str = "last-event-id";

/// Tells proxies not to buffer the answer.
const NOT_GATHERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// Marks an answer as a stream: its connection has a place of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listened;

/// The id of the client's last event; an empty one counts as none.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let text = value.to_str().map_err(|_| wrong_last_event_id("is not the id of an event"))?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()))
}

/// The client's last event id is invalid.
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

    /// Reads from the database, with a read place; `None` if the stream has to end.
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

    /// The result of the future, unless the stream has to end before.
    pub(super) async fn unless_over<T>(&mut self, waiting: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            Some(_) = self.in_force.until(|in_force| !in_force) => None,
            done = waiting => Some(done),
        }
    }
}

/// The source of the messages.
pub(super) trait Telling: Send + Sized + 'static {
    /// The next message; none at the end.
    fn next(&mut self) -> impl Future<Output = Option<Event>> + Send;
}

/// The streaming answer.
pub(super) fn answer(state: &ApiState, version: Version, telling: impl Telling) -> Response {
    // Boxed, so that only a pointer moves: the stream holds its state twice, idle and working.
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
        // It has given up its place, and there may be none left.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        response.extensions_mut().insert(Listened);
    }
    response
}

/// A message of this kind; one with an id moves the position from which a client continues.
pub(super) fn message(kind: &str, id: Option<String>, data: &impl Serialize) -> Option<Event> {
    let message = id.map_or_else(Event::default, |id| Event::default().id(id)).event(kind).json_data(data);
    message.inspect_err(|error| tracing::error!(kind, %error, "a message can't be written")).ok()
}
