//! Claims due deliveries, sends them, and records the results. A slow or dead endpoint delays no other: each gets only
//! a few deliveries at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::Url;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

pub use super::attempt::Jitter;
use super::attempt::{Errand, Route};
use super::lines::{Item, Lines};
use super::{Sender, SigningSecret};
use crate::meters::Meters;
use crate::store::deliveries::RETENTION;
use crate::store::deliveries::claim::{Claimed, Delivery, Target, Wanted};
pub use crate::store::deliveries::record::Patience;
use crate::store::deliveries::record::{Attempt, End};
use crate::store::{Store, StoreError};
use crate::traces::Traces;

/// Concurrent deliveries to the operator and to registered endpoints: more than two for each of the maximum number of
/// endpoints, so that any number of them may hang.
const AT_ONCE: usize = 256;

/// Concurrent deliveries to receivers that purges named, of which there may be any number.
const AT_ONCE_OF_PURGES: usize = 64;

/// Concurrent deliveries to one endpoint, until it accepts one.
const AT_ONCE_EACH: usize = 2;

/// Concurrent deliveries to an endpoint that accepted the last one.
const AT_ONCE_TRUSTED: usize = 8;

/// A courier that hears nothing looks at least so often.
const FALLBACK: Duration = Duration::from_secs(10);

/// The operator's own receiver; it may be anywhere.
#[derive(Debug, Clone)]
pub struct Operator {
    pub url: Url,
    /// As they are configured; none: the database keeps them.
    pub secrets: Vec<SigningSecret>,
}

/// The destinations and their senders.
#[derive(Debug, Clone)]
pub struct Terms {
    pub sender: Sender,
    /// The operator's own receiver.
    pub operator: Option<Operator>,
    /// How long a receiver may take.
    pub timeout: Duration,
    pub patience: Patience,
}

/// Carries deliveries to their receivers.
pub struct Courier {
    pub(super) store: Store,
    pub(super) errand: Arc<Errand>,
    wake: Arc<Notify>,
    pub(super) traces: Traces,
}

impl Courier {
    /// A courier that records its attempts.
    pub fn new(
        store: Store,
        terms: Terms,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        jitter: Jitter,
        meters: Meters,
    ) -> Self {
        let Terms { sender, operator, timeout, patience } = terms;
        let errand = Errand { sender, operator, timeout, patience, clock, jitter, meters };
        let (wake, traces) = (Arc::new(Notify::new()), Traces::default());
        Self { store, errand: Arc::new(errand), wake, traces }
    }

    /// Tells its attempts there.
    #[must_use]
    pub fn traced(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// The notification of new deliveries.
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Runs until the stop; running attempts are finished, until they are cut.
    pub async fn run(self, stop: CancellationToken, cut: CancellationToken) {
        let mut round = Round::new(&self);
        while !stop.is_cancelled() {
            let wait = match round.claim().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(%error, "webhook deliveries could not be claimed; retrying");
                    FALLBACK
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                Some(ended) = round.attempts.join_next_with_id() => round.record(ended).await,
                () = tokio::time::sleep(wait) => {}
            }
        }
        round.part(cut).await;
    }
}

/// The state of a courier.
struct Round<'a> {
    courier: &'a Courier,
    lines: Lines<Route>,
    attempts: JoinSet<Attempt>,
    /// The delivery of each task.
    sending: HashMap<Id, Delivery>,
    /// Endpoints that accepted their last delivery.
    trusted: BTreeSet<String>,
    /// The endpoint behind which to look next.
    after: String,
    /// How long until the next delivery of the endpoints seen in this round is due.
    next: Option<Duration>,
}

impl<'a> Round<'a> {
    fn new(courier: &'a Courier) -> Self {
        Self {
            courier,
            lines: Lines::default(),
            attempts: JoinSet::new(),
            sending: HashMap::new(),
            trusted: BTreeSet::new(),
            after: String::new(),
            next: None,
        }
    }

    /// Claims as much as there is room for, and starts to send it; returns how long until there may be more.
    async fn claim(&mut self) -> Result<Duration, StoreError> {
        let mut is_whole_circle = self.after.is_empty();
        loop {
            let room = AT_ONCE.saturating_sub(self.lines.registered());
            let room_of_purges = AT_ONCE_OF_PURGES.saturating_sub(self.lines.of_purges());
            if room == 0 && room_of_purges == 0 {
                return Ok(FALLBACK);
            }
            if self.after.is_empty() {
                self.next = None;
            }
            let errand = &self.courier.errand;
            let wanted = Wanted {
                room,
                room_of_purges,
                at_once: AT_ONCE_EACH,
                at_once_trusted: AT_ONCE_TRUSTED,
                trusted: self.trusted.iter().cloned().collect(),
                under_way: self.lines.claimed().clone(),
                to_operator: errand.operator.is_some(),
                after: self.after.clone(),
                lease: errand.timeout * 2,
            };
            let before = Instant::now() + errand.timeout;
            let Claimed { deliveries, targets, next, more } =
                self.courier.store.claim_deliveries(&wanted).await?;
            self.next = self.next.into_iter().chain(next).min();
            self.courier.look_up_traces(deliveries.iter()).await;
            self.begin(deliveries, &targets, before);
            self.after = more.unwrap_or_default();
            if self.after.is_empty() {
                if is_whole_circle {
                    return Ok(self.next.unwrap_or(FALLBACK).clamp(Duration::from_millis(10), FALLBACK));
                }
                is_whole_circle = true;
            }
        }
    }

    fn begin(&mut self, deliveries: Vec<Delivery>, targets: &BTreeMap<String, Target>, before: Instant) {
        let mut destinations = BTreeMap::new();
        for delivery in deliveries {
            let to = destinations.entry(delivery.endpoint.clone()).or_insert_with(|| {
                let is_operator = delivery.endpoint == RETENTION;
                Arc::new(self.courier.errand.destination(is_operator, targets.get(&delivery.endpoint)))
            });
            let route = Route { to: Arc::clone(to), before };
            if let Some(item) = self.lines.begin(Item { delivery, with: route }) {
                self.send(item);
            }
        }
    }

    fn send(&mut self, Item { delivery, with: route }: Item<Route>) {
        let (errand, sent) = (Arc::clone(&self.courier.errand), delivery.clone());
        let traceparent = self.courier.traceparent(&sent);
        let task = self.attempts.spawn(async move { errand.attempt(&route.to, sent, traceparent).await });
        self.sending.insert(task.id(), delivery);
    }

    /// Records all attempts that have ended, and sends the ones queued behind them.
    async fn record(&mut self, first: Result<(Id, Attempt), JoinError>) {
        let mut ended = Vec::new();
        let mut next = Some(first);
        while let Some(one) = next {
            ended.extend(self.end(one));
            next = self.attempts.try_join_next_with_id();
        }
        match self.courier.store.record_attempts(&ended, &self.courier.errand.patience).await {
            Ok(recorded) => {
                if recorded.lost > 0 {
                    tracing::warn!(
                        lost = recorded.lost,
                        "webhook attempts took longer than their lease; they are repeated"
                    );
                }
                for (endpoint, why) in recorded.disabled {
                    self.courier.errand.meters.endpoint_disabled();
                    tracing::error!(%endpoint, why, "a webhook endpoint is disabled; enable it when it works again");
                }
            }
            Err(error) => {
                tracing::error!(%error, "webhook attempts could not be recorded; they are repeated");
            }
        }
        self.courier.trace(&ended).await;
        let mut late = Vec::new();
        for attempt in &ended {
            self.trust(attempt);
            let mut next = self.lines.end(&attempt.delivery);
            while let Some(item) = next {
                if Instant::now() < item.with.before {
                    self.send(item);
                    break;
                }
                // Its predecessor took longer than its lease.
                next = self.lines.end(&item.delivery);
                late.push(item.delivery);
            }
        }
        self.give_back(&late).await;
    }

    fn trust(&mut self, attempt: &Attempt) {
        let endpoint = &attempt.delivery.endpoint;
        match attempt.end {
            End::Delivered(_) if !attempt.delivery.is_of_purge => {
                self.trusted.insert(endpoint.clone());
            }
            End::Delivered(_) => {}
            End::Failed { .. } => {
                self.trusted.remove(endpoint);
            }
        }
    }

    /// The result of a task. If it panicked, the result is unknown: the delivery is sent again when its lease expires.
    fn end(&mut self, ended: Result<(Id, Attempt), JoinError>) -> Option<Attempt> {
        match ended {
            Ok((task, attempt)) => {
                self.sending.remove(&task);
                Some(attempt)
            }
            Err(error) => {
                let delivery = self.sending.remove(&error.id())?;
                tracing::error!(delivery = %delivery.id, %error, "an attempt to deliver a webhook panicked; it is repeated");
                if let Some(item) = self.lines.end(&delivery) {
                    self.send(item);
                }
                None
            }
        }
    }

    /// Lets running attempts finish, until they are cut; unstarted ones are left to other processes.
    async fn part(mut self, cut: CancellationToken) {
        let waiting = self.lines.abandon();
        self.give_back(&waiting).await;
        while let Some(Some(ended)) = cut.run_until_cancelled(self.attempts.join_next_with_id()).await {
            self.record(ended).await;
        }
        self.attempts.abort_all();
        let cut: Vec<Delivery> = self.sending.drain().map(|(_, delivery)| delivery).collect();
        self.give_back(&cut).await;
    }

    async fn give_back(&self, deliveries: &[Delivery]) {
        if let Err(error) = self.courier.store.give_back_deliveries(deliveries).await {
            tracing::warn!(%error, "webhook deliveries that were not sent wait until their lease ends");
        }
    }
}
