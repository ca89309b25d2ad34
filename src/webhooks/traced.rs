//! Adds delivery attempts to the traces of their purges.

use serde::Deserialize;
use uuid::Uuid;

use super::deliver::Courier;
use crate::store::deliveries::claim::Delivery;
use crate::store::deliveries::record::{Attempt, End};
use crate::traces::{Numbered, Span};

/// The subject of the delivery.
#[derive(Default, Deserialize)]
struct Payload {
    #[serde(default)]
    event: String,
}

impl Courier {
    /// Looks up the traces of the purges of these deliveries. A delivery about several purges is in no trace.
    pub(super) async fn look_up_traces(&self, deliveries: impl Iterator<Item = &Delivery>) {
        if !self.traces.are_on() {
            return;
        }
        let purges: Vec<Uuid> = deliveries.filter_map(|delivery| delivery.purge).collect();
        let ask = |unknown: Vec<Uuid>| async move { self.store.traceparents(&unknown).await };
        if let Err(error) = self.traces.look_up(&purges, ask).await {
            tracing::debug!(%error, "attempts to deliver are in no trace");
        }
    }

    /// The `traceparent` for the receiver of an attempt.
    pub(super) fn traceparent(&self, delivery: &Delivery) -> Option<String> {
        self.traces.traceparent(delivery.purge?, numbered(delivery))
    }

    /// Records attempts that have just ended.
    pub(super) async fn trace(&self, attempts: &[Attempt]) {
        if !self.traces.are_on() {
            return;
        }
        self.look_up_traces(attempts.iter().map(|attempt| &attempt.delivery)).await;
        let now = (self.errand.clock)();
        for attempt in attempts {
            let Some(purge) = attempt.delivery.purge else { continue };
            let began = now.checked_sub(attempt.latency).unwrap_or(now);
            let payload: Payload = serde_json::from_str(&attempt.delivery.payload).unwrap_or_default();
            let span = Span::new("deliver", began, attempt.latency)
                .with("event", payload.event)
                .with("webhook.id", attempt.delivery.event_id.to_string())
                .with("attempt", i64::from(attempt.delivery.attempt));
            let span = match &attempt.end {
                End::Delivered(status) => span.with("http.response.status_code", i64::from(*status)),
                End::Failed { error, .. } => span.failed(error.clone()),
            };
            self.traces.delivery(purge, numbered(&attempt.delivery), span);
        }
    }
}

const fn numbered(delivery: &Delivery) -> Numbered {
    Numbered { delivery: delivery.id, attempt: delivery.attempt }
}
