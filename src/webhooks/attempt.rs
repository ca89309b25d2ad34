//! One attempt: sends the stored bytes, signed, and returns the result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::deliver::Operator;
use super::send::keys;
use super::{Destination, Message, SendError, Sender, Sent};
use crate::crash::{self, Side};
use crate::domain::backoff;
use crate::meters::Meters;
use crate::store::deliveries::claim::{Delivery, Target};
use crate::store::deliveries::record::{Attempt, End, Patience};

/// A source of fractions in 0..1.
pub type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// The inputs of every attempt.
pub(super) struct Errand {
    pub(super) sender: Sender,
    /// The operator's receiver.
    pub(super) operator: Option<Operator>,
    pub(super) timeout: Duration,
    pub(super) patience: Patience,
    pub(super) clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub(super) jitter: Jitter,
    pub(super) meters: Meters,
}

/// The destination of a delivery, and until when its lease lets an attempt begin.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) to: Arc<Result<Destination, SendError>>,
    pub(super) before: Instant,
}

impl Errand {
    /// The address of an endpoint; the operator's receiver may be anywhere, callers' receivers only where the rules
    /// allow it.
    pub(super) fn destination(
        &self,
        is_operator: bool,
        target: Option<&Target>,
    ) -> Result<Destination, SendError> {
        let (url, kept) = target.map_or(("", &[][..]), |target| (&target.url, &target.secrets));
        match self.operator.as_ref().filter(|_| is_operator) {
            Some(Operator { url, secrets }) if secrets.is_empty() => {
                Ok(Destination::of_operator(url.clone(), keys(kept)?, self.timeout))
            }
            Some(Operator { url, secrets }) => {
                Ok(Destination::of_operator(url.clone(), secrets.clone(), self.timeout))
            }
            None => Destination::stored(url, kept, self.timeout),
        }
    }

    /// Sends once.
    pub(super) async fn attempt(
        &self,
        to: &Result<Destination, SendError>,
        delivery: Delivery,
        traceparent: Option<String>,
    ) -> Attempt {
        let timed = self.meters.webhook_attempt();
        let Sent { taken, answer } = match to {
            Ok(to) => {
                let id = delivery.event_id.to_string();
                crash::pass("deliver", Side::Before);
                let message =
                    Message { traceparent: traceparent.as_deref(), ..Message::new(&id, &delivery.payload) };
                let sent = self.sender.send(to, message, (self.clock)()).await;
                crash::pass("deliver", Side::After);
                sent
            }
            Err(error) => Sent::from(error.clone()),
        };
        let latency = timed.elapsed();
        let end = match taken {
            Ok(status) => {
                timed.end("delivered");
                End::Delivered(status)
            }
            Err(error) => {
                let asked = answer.as_ref().and_then(|answer| answer.retry_after);
                let again = self.again(&delivery, &error, asked);
                let is_dead = again.is_none();
                timed.end(if is_dead { "dead" } else { "failed" });
                log_failure(&delivery, &error, again);
                End::Failed {
                    again,
                    status: answer.as_ref().map(|answer| answer.status),
                    is_gone: error == SendError::Gone,
                    error: error.to_string(),
                }
            }
        };
        Attempt { delivery, end, latency, response: answer.map(|answer| answer.body) }
    }

    /// When a failed one is sent again; a receiver that is gone is sent nothing.
    fn again(&self, delivery: &Delivery, error: &SendError, asked: Option<Duration>) -> Option<Duration> {
        match error {
            SendError::Gone => None,
            SendError::Status { .. }
            | SendError::Timeout(_)
            | SendError::Transport(_)
            | SendError::Unsendable(_)
            | SendError::NotAllowed
            | SendError::NoHttps(_) => {
                backoff::delivery(&self.patience.schedule, delivery.tries, asked, (self.jitter)())
            }
        }
    }
}

/// Names all that is needed to find and redeliver it.
fn log_failure(delivery: &Delivery, error: &SendError, again: Option<Duration>) {
    let Payload { event, purge_id } = serde_json::from_str(&delivery.payload).unwrap_or_default();
    let purge = purge_id.map(tracing::field::display);
    let (id, endpoint, attempt) = (delivery.id, &delivery.endpoint, delivery.attempt);
    if let Some(again) = again {
        tracing::warn!(
            delivery = %id, event, purge, endpoint, attempt, %error, again_in = ?again,
            "a webhook was not delivered; it is sent again"
        );
    } else {
        tracing::error!(
            delivery = %id, event, purge, endpoint, attempt, %error,
            "gave up on a webhook; redeliver it when its receiver works again"
        );
    }
}

/// The subject of a payload.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    event: String,
    purge_id: Option<uuid::Uuid>,
}
