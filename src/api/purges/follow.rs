//! `GET /purges/{id}/events` with `Accept: text/event-stream`: a purge, live, until it is final.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::http::{StatusCode, Version};
use axum::response::sse::Event;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use uuid::Uuid;

use super::history::EventBody;
use super::jobs::Job;
use super::unknown;
use crate::api::key_id::KeyId;
use crate::api::live::{Latest, PurgeEar};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::api::stream::{self, Listener, Telling};
use crate::domain::counts::Tally;
use crate::domain::keys::Reach;
use crate::domain::state::PurgeState;
use crate::store::views::events::EventRow;
use crate::store::views::jobs::JobRow;
use crate::store::views::live::PurgeLook;

/// How many events a listener that is behind reads at once.
const PAGE: i64 = 50;

/// The state of a purge: the data of `counts` and `end`.
#[derive(Debug, Serialize)]
struct StandingBody {
    state: PurgeState,
    /// Which run it is in.
    run: i32,
    counts: Tally,
}

impl From<&PurgeLook> for StandingBody {
    fn from(look: &PurgeLook) -> Self {
        Self { state: look.state, run: look.run, counts: look.counts }
    }
}

/// Streams the events of a purge after this number, its counts and its jobs, until it is final.
pub(super) async fn follow(
    state: &ApiState,
    (key, reach): (KeyId, Reach),
    version: Version,
    purge: Uuid,
    after: Option<i32>,
) -> Result<Response, Problem> {
    let look = state.store.look_at_purges(&reach, &[purge]).await?.pop().ok_or_else(unknown)?;
    if after.is_some_and(|after| after > look.event_no) {
        return Err(stream::wrong_last_event_id("is not the eventNo of an event of this purge"));
    }
    if look.state.is_final() && after == Some(look.event_no) {
        // A browser would reconnect for ever without this.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let listener = Listener::enter(state, key).await?;
    let ear = state.live.listen_to(look);
    let told = Following {
        reach,
        purge,
        listener,
        ear,
        after: after.unwrap_or_default(),
        version: 0,
        ready: VecDeque::new(),
        standing: None,
        has_ended: false,
    };
    Ok(stream::answer(state, version, told))
}

/// The next message.
enum Message {
    Event(Arc<EventRow>),
    Counts(Arc<PurgeLook>),
    Job(Arc<JobRow>),
    /// The last one.
    End(Arc<PurgeLook>),
}

struct Following {
    reach: Reach,
    purge: Uuid,
    listener: Listener,
    ear: PurgeEar,
    /// All events up to this number were sent, or are in `ready`.
    after: i32,
    /// The version up to which counts and jobs were sent.
    version: u64,
    ready: VecDeque<Message>,
    /// The last counts that were sent.
    standing: Option<Arc<PurgeLook>>,
    has_ended: bool,
}

impl Telling for Following {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return written(&message);
            }
            if self.has_ended {
                return None;
            }
            let heard = self.ear.after(self.after, self.version)?;
            let Some(events) = heard.events else {
                Box::pin(self.catch_up()).await?;
                continue;
            };
            self.after = events.last().map_or(self.after, |event| event.event_no);
            self.ready.extend(events.into_iter().map(Message::Event));
            self.version = heard.version;
            for latest in heard.latest {
                self.ready.push_back(match latest {
                    Latest::Counts(look) => {
                        self.standing = Some(Arc::clone(&look));
                        Message::Counts(look)
                    }
                    Latest::Job(job) => Message::Job(job),
                });
            }
            if heard.last.is_some_and(|last| last <= self.after) {
                self.ready.extend(self.standing.clone().map(Message::End));
                self.has_ended = true;
            }
            if self.ready.is_empty() && !self.has_ended {
                self.listener.unless_over(self.ear.moved()).await?;
            }
        }
    }
}

impl Following {
    /// Reads the next events from the database.
    async fn catch_up(&mut self) -> Option<()> {
        let store = self.ear.store();
        let reading = Box::pin(store.events_of(&self.reach, self.purge, self.after, PAGE));
        let rows = self.listener.read(reading).await??;
        self.after = rows.last()?.event_no;
        self.ready = rows.into_iter().map(|row| Message::Event(Arc::new(row))).collect();
        Some(())
    }
}

fn written(message: &Message) -> Option<Event> {
    match message {
        Message::Event(row) => {
            let body = EventBody::from(EventRow::clone(row));
            stream::message(row.event.as_str(), Some(row.event_no.to_string()), &body)
        }
        Message::Counts(look) => stream::message("counts", None, &StandingBody::from(look.as_ref())),
        Message::Job(job) => stream::message("job", None, &Job::from(JobRow::clone(job))),
        Message::End(look) => stream::message("end", None, &StandingBody::from(look.as_ref())),
    }
}
