//! `GET /events` with `Accept: text/event-stream`: the feed, live.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::http::Version;
use axum::response::Response;
use axum::response::sse::Event;

use super::body::FeedEventBody;
use crate::api::key_id::KeyId;
use crate::api::live::{FeedEar, Heard};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::api::stream::{self, Listener, Telling};
use crate::domain::keys::Reach;
use crate::store::views::feed::FeedRow;

/// How many events a listener that is behind reads at once.
const PAGE: i64 = 50;

/// Streams the events after this number that the key reaches, then new ones.
pub(super) async fn follow(
    state: &ApiState,
    (key, reach): (KeyId, Reach),
    version: Version,
    after: i64,
) -> Result<Response, Problem> {
    let listener = Listener::enter(state, key).await?;
    let ear = state.live.listen();
    let told = Following { reach, listener, ear, after, ready: VecDeque::new() };
    Ok(stream::answer(state, version, told))
}

struct Following {
    reach: Reach,
    listener: Listener,
    ear: FeedEar,
    /// All events up to this number were sent, or are in `ready`.
    after: i64,
    ready: VecDeque<Arc<FeedRow>>,
}

impl Telling for Following {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                let body = FeedEventBody::from(FeedRow::clone(&row));
                return stream::message(row.event.as_str(), Some(row.no.to_string()), &body);
            }
            match self.ear.after(self.after) {
                Heard::New(rows) if !rows.is_empty() => {
                    self.after = rows.last().map_or(self.after, |row| row.no);
                    let is_reached = |row: &Arc<FeedRow>| match &row.org {
                        Some(org) => self.reach.covers(org),
                        None => self.reach.is_everywhere(),
                    };
                    self.ready = rows.into_iter().filter(is_reached).collect();
                }
                Heard::New(_) | Heard::Unknown => self.listener.unless_over(self.ear.moved()).await?,
                Heard::Behind { upto } => Box::pin(self.catch_up(upto)).await?,
            }
        }
    }
}

impl Following {
    /// Reads the next events from the database, in which all up to this number can be read.
    async fn catch_up(&mut self, upto: i64) -> Option<()> {
        let store = self.ear.store();
        let rows = self.listener.read(Box::pin(store.feed(&self.reach, self.after, PAGE))).await?;
        let is_all = i64::try_from(rows.len()).is_ok_and(|rows| rows < PAGE);
        let last = rows.last().map_or(self.after, |row| row.no);
        self.after = if is_all { last.max(upto) } else { last };
        self.ready = rows.into_iter().map(Arc::new).collect();
        Some(())
    }
}
