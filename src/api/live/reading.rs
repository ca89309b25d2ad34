//! Reads news while somebody listens: the feed when events were numbered, and at intervals the state of the purges
//! that somebody listens to.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::Live;
use super::purges::OfPurge;
use crate::domain::keys::Reach;
use crate::store::StoreError;
use crate::store::views::events::EventRow;
use crate::store::views::feed::FeedRow;

/// The state of purges is read this often, and sent no more often.
const LOOKS: Duration = Duration::from_millis(500);
/// The feed is read this often without notifications, as behind a pooler.
const UNTOLD: Duration = Duration::from_millis(500);
/// How many rows are read at once.
const PAGE: i64 = 500;

impl Live {
    /// Goes on until nobody listens.
    pub(super) async fn read(self) {
        let mut next_look = Instant::now();
        while is_wanted(&self) {
            let read = async {
                read_feed(&self).await?;
                if Instant::now() >= next_look {
                    look(&self).await?;
                    next_look = Instant::now() + LOOKS;
                }
                Ok(())
            };
            let is_read: Result<(), StoreError> = read.await;
            if let Err(error) = is_read {
                // Those who listen wait, and miss nothing.
                tracing::debug!(%error, "events could not be read for open streams; retrying");
                sleep(LOOKS).await;
            }
            let wait = (Instant::now() + UNTOLD).min(next_look.max(Instant::now()));
            tokio::select! {
                () = self.0.wake.notified() => {}
                () = sleep_until(wait) => {}
                () = self.0.stop.cancelled() => sleep(LOOKS).await,
            }
        }
    }
}

/// Whether somebody listens; if not, nothing is buffered.
fn is_wanted(live: &Live) -> bool {
    let mut state = live.state();
    if state.has_listeners() {
        return true;
    }
    state.is_reading = false;
    state.feed.forget();
    false
}

async fn read_feed(live: &Live) -> Result<(), StoreError> {
    let (store, everywhere) = (&live.0.store, Reach::all());
    let known = live.state().feed.end();
    let mut end = if let Some(end) = known {
        end
    } else {
        let end = store.feed_end().await?;
        live.state().feed.begin(end);
        end
    };
    loop {
        let rows: Vec<_> = store.feed(&everywhere, end, PAGE).await?.into_iter().map(Arc::new).collect();
        let Some(last) = rows.last() else { return Ok(()) };
        end = last.no;
        let mut state = live.state();
        state.feed.push(&rows);
        for row in &rows {
            if let Some(purge) = row.purge.and_then(|purge| state.purges.get_mut(&purge))
                && let Some(event) = of_purge(row)
            {
                purge.note_event(Arc::new(event));
            }
        }
        if i64::try_from(rows.len()).is_ok_and(|rows| rows < PAGE) {
            return Ok(());
        }
    }
}

/// Reads the state of the purges that have listeners, and the events that the feed did not bring.
async fn look(live: &Live) -> Result<(), StoreError> {
    let (store, everywhere) = (&live.0.store, Reach::all());
    let (purges, underway) = {
        let state = live.state();
        let purges: Vec<Uuid> = state.purges.keys().copied().collect();
        let underway: Vec<Uuid> = state.purges.values().flat_map(OfPurge::underway).collect();
        (purges, underway)
    };
    if purges.is_empty() {
        return Ok(());
    }
    let jobs = store.jobs_underway(&everywhere, &purges, &underway).await?;
    let looks = store.look_at_purges(&everywhere, &purges).await?;
    let behind: Vec<(Uuid, i32)> = {
        let state = live.state();
        let known = |id: &Uuid| state.purges.get(id).map(OfPurge::known);
        let behind = looks.iter().filter_map(|look| Some((look.id, known(&look.id)?, look.event_no)));
        behind.filter(|(_, known, is)| known < is).map(|(id, known, _)| (id, known)).collect()
    };
    let missed =
        if behind.is_empty() { Vec::new() } else { store.missed_events(&everywhere, &behind, PAGE).await? };
    let mut state = live.state();
    for (purge, event) in missed {
        if let Some(of) = state.purges.get_mut(&purge) {
            of.note_event(Arc::new(event));
        }
    }
    for (purge, job) in jobs {
        if let Some(of) = state.purges.get_mut(&purge) {
            of.note_job(job);
        }
    }
    for look in looks {
        if let Some(of) = state.purges.get_mut(&look.id) {
            of.note_look(look);
        }
    }
    Ok(())
}

/// The event as the history of its purge has it.
fn of_purge(row: &FeedRow) -> Option<EventRow> {
    Some(EventRow {
        event_no: row.event_no?,
        id: row.id,
        event: row.event,
        at: row.at,
        actor: row.actor.clone(),
        request_id: row.request_id.clone(),
        job: row.job,
        upstream_job_id: row.upstream_job_id.clone(),
        payload: row.payload.clone(),
    })
}
