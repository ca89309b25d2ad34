//! Delivers: claims what is due, sends the stored bytes, signed, and records how it went.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Destination, SendError, Sender, Sent, SigningSecret};
use crate::crash::{self, Side};
use crate::domain::backoff;
use crate::meters::Meters;
use crate::store::deliveries::{Attempt, Delivery, End};
use crate::store::{Store, StoreError};

/// So many are sent at the same time.
const AT_ONCE: i64 = 8;

/// A courier that hears nothing looks at least so often.
const FALLBACK: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct Receiver {
    pub url: Url,
    pub secret: SigningSecret,
    /// How long it may take.
    pub timeout: Duration,
    /// The waits between attempts.
    pub schedule: Vec<Duration>,
}

/// A source of fractions in 0..1.
pub type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// Carries deliveries to the operator's receiver.
pub struct Courier {
    errand: Arc<Errand>,
    wake: Arc<Notify>,
}

struct Errand {
    store: Store,
    sender: Sender,
    destination: Destination,
    timeout: Duration,
    schedule: Vec<Duration>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    jitter: Jitter,
    meters: Meters,
}

impl Courier {
    /// A courier for one receiver, who records his attempts.
    pub fn new(
        store: Store,
        receiver: Receiver,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        jitter: Jitter,
        meters: Meters,
    ) -> Result<Self, SendError> {
        let Receiver { url, secret, timeout, schedule } = receiver;
        let destination = Destination::new(url, secret, timeout);
        let sender = Sender::new()?;
        let errand = Errand { store, sender, destination, timeout, schedule, clock, jitter, meters };
        Ok(Self { errand: Arc::new(errand), wake: Arc::new(Notify::new()) })
    }

    /// What tells it of new deliveries.
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Goes on until it is told to stop; attempts under way are finished, until they are cut.
    pub async fn run(self, stop: CancellationToken, cut: CancellationToken) {
        while !stop.is_cancelled() {
            let wait = match self.errand.round(&cut).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(%error, "deliveries could not be claimed or recorded");
                    FALLBACK
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

impl Errand {
    /// Sends what is due, and tells how long until something else is.
    async fn round(self: &Arc<Self>, cut: &CancellationToken) -> Result<Duration, StoreError> {
        let (due, mut next) = self.store.claim_deliveries(AT_ONCE, self.timeout * 2).await?;
        let was_full = i64::try_from(due.len()).is_ok_and(|number| number == AT_ONCE);
        let mut attempts = JoinSet::new();
        for delivery in due {
            let (errand, cut) = (Arc::clone(self), cut.clone());
            attempts.spawn(async move {
                match cut.run_until_cancelled(errand.attempt(&delivery)).await {
                    Some(done) => done,
                    None => errand.store.give_back_delivery(&delivery).await.map(|()| None),
                }
            });
        }
        while let Some(attempt) = attempts.join_next().await {
            match attempt {
                Ok(Ok(again)) => next = next.into_iter().chain(again).min(),
                Ok(Err(error)) => {
                    tracing::error!(%error, "a delivery's attempt could not be recorded; it is repeated");
                }
                Err(error) => {
                    tracing::error!(%error, "a delivery's attempt panicked; its lease will run out")
                }
            }
        }
        if was_full {
            return Ok(Duration::ZERO);
        }
        Ok(next.unwrap_or(FALLBACK).clamp(Duration::from_millis(10), FALLBACK))
    }

    /// Sends once, and tells how long until it is sent again.
    async fn attempt(&self, delivery: &Delivery) -> Result<Option<Duration>, StoreError> {
        let id = delivery.event_id.to_string();
        let timed = self.meters.webhook_attempt();
        crash::pass("deliver", Side::Before);
        let sent = self.sender.send(&self.destination, &id, (self.clock)(), &delivery.payload).await;
        crash::pass("deliver", Side::After);
        let latency = timed.elapsed();
        let Sent { taken, answer } = sent;
        let end = match taken {
            Ok(status) => {
                timed.end("delivered");
                End::Delivered(status)
            }
            Err(error) => {
                let asked = answer.as_ref().and_then(|answer| answer.retry_after);
                let again = self.again(delivery, &error, asked);
                let is_dead = again.is_none();
                timed.end(if is_dead { "dead" } else { "failed" });
                tracing::warn!(delivery = %delivery.id, attempt = delivery.attempt, is_dead, %error, "a webhook was not taken");
                let status = answer.as_ref().map(|answer| answer.status);
                End::Failed { again, status, error: error.to_string() }
            }
        };
        let attempt = Attempt { end, latency, response: answer.map(|answer| answer.body) };
        self.store.record_attempt(delivery, &attempt).await
    }

    /// When a failed one is sent again; a receiver that is gone is sent nothing.
    fn again(&self, delivery: &Delivery, error: &SendError, asked: Option<Duration>) -> Option<Duration> {
        match error {
            SendError::Gone => None,
            SendError::Status { .. }
            | SendError::Timeout(_)
            | SendError::Transport(_)
            | SendError::Unsendable(_)
            | SendError::NoHttps(_) => {
                backoff::delivery(&self.schedule, delivery.tries, asked, (self.jitter)())
            }
        }
    }
}
