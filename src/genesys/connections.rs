//! Connections that are ready before a call needs one.
//!
//! A permit is valid for a second, and between regions a name look-up, TCP and TLS may take longer. So a connection is
//! opened before the permit is taken, and one that was not ready in time is kept for the next call instead of being
//! thrown away: a layer around reqwest's connector keeps both as spares for a few seconds.
//!
//! Invariant: a connection is handed out once, with nothing written over it, seconds after it was opened at most, and only
//! to a call that may still be written. Opening one for later writes nothing: the connector keeps it and ends with an error.

use std::{
    collections::HashMap,
    error::Error,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use hyper::rt::{Read, ReadBuf};
use reqwest::Url;
use tokio::time::{Instant, timeout, timeout_at};
use tower::{Layer, Service, util::BoxCloneSyncService};

use super::{WallClock, permit::Deadline, upstream::Lane};

/// So long a spare is kept: longer than from a permit to its end, shorter than servers wait for a first request.
const SPARE_LIFE: Duration = Duration::from_secs(3);
/// So long a call that was said to come is waited for: the transaction that takes its permit, and the permit's second.
const PROMISE_LIFE: Duration = Duration::from_secs(2);
/// After no connection could be opened, calls find out by themselves for so long whether they can.
const PAUSE: Duration = Duration::from_secs(5);

/// What a call says that was not written because its permit ended.
pub(super) const TOO_LATE: &str = "the permit ended before the call could be written";

type BoxError = Box<dyn Error + Send + Sync>;
type Connector<T, C> = BoxCloneSyncService<T, C, BoxError>;
type Connecting<C> = Pin<Box<dyn Future<Output = Result<C, BoxError>> + Send>>;

tokio::task_local! {
    /// What the call that this task makes wants a connection for. hyper-util starts to connect within that task.
    pub(super) static WANTED: Wanted;
}

/// Where a connection leads, and which calls may take it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Way {
    lane: Lane,
    origin: String,
}

impl Way {
    pub(super) fn new(lane: Lane, url: &Url) -> Self {
        Self { lane, origin: url.origin().ascii_serialization() }
    }
}

/// What a connection is wanted for.
#[derive(Clone)]
pub(super) enum Wanted {
    /// For a call that must be written before that.
    ToWrite(Way, Deadline),
    /// To be there when a call comes.
    ToKeep(Way),
}

/// The connections of an org, whatever they are made of.
pub(super) trait Connections: Send + Sync {
    /// Says that one more call is about to come; whether there is a connection for it, or no use in opening one.
    fn promise(&self, way: &Way) -> bool;

    /// None could be opened.
    fn could_not_open(&self, way: &Way);

    /// A call begins.
    fn begin(&self, way: &Way);

    /// It has ended; `is_reusable`: the connection that it had, if any, takes another.
    fn end(&self, way: &Way, is_reusable: bool);
}

/// A call under way; dropped before [`UnderWay::end_well`] its connection is given up.
pub(super) struct UnderWay {
    connections: Arc<dyn Connections>,
    way: Way,
    is_reusable: bool,
}

impl UnderWay {
    pub(super) fn begin(connections: &Arc<dyn Connections>, way: Way) -> Self {
        connections.begin(&way);
        Self { connections: Arc::clone(connections), way, is_reusable: false }
    }

    /// It lost no connection: either it had none, or that takes another call.
    pub(super) fn end_well(mut self) {
        self.is_reusable = true;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.connections.end(&self.way, self.is_reusable);
    }
}

/// The spares of an org, and how many connections its calls have.
pub(super) struct Spares<C> {
    held: Mutex<Held<C>>,
    longest_connect: Duration,
    /// A pool keeps an idle connection for so long.
    idle_life: Duration,
    wall_clock: WallClock,
}

struct Held<C> {
    spares: Vec<Spare<C>>,
    books: HashMap<Way, Book>,
}

struct Spare<C> {
    way: Way,
    connection: C,
    until: Deadline,
}

/// How many connections of a way there are, as far as is known: its pool shows nothing of itself.
#[derive(Default)]
struct Book {
    /// When calls were said to come that have not come yet.
    promised: Vec<Instant>,
    calls: usize,
    /// Those that calls have, and those that are idle in the pool.
    connections: usize,
    used_at: Option<Instant>,
    no_opening_before: Option<Instant>,
}

impl<C> Spares<C> {
    pub(super) fn new(longest_connect: Duration, idle_life: Duration, wall_clock: &WallClock) -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::new(Held { spares: Vec::new(), books: HashMap::new() }),
            longest_connect,
            idle_life,
            wall_clock: WallClock::clone(wall_clock),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held<C>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Held<C> {
    fn sweep(&mut self) {
        self.spares.retain(|spare| !spare.until.has_come());
    }

    fn book(&mut self, way: &Way) -> &mut Book {
        self.books.entry(way.clone()).or_default()
    }
}

impl<C: Send> Connections for Spares<C> {
    fn promise(&self, way: &Way) -> bool {
        let now = Instant::now();
        let mut held = self.held();
        held.sweep();
        let spares = held.spares.iter().filter(|spare| spare.way == *way).count();
        let book = held.book(way);
        book.promised.retain(|at| now < *at + PROMISE_LIFE);
        if book.used_at.is_none_or(|at| now >= at + self.idle_life) {
            book.connections = book.connections.min(book.calls);
        }
        let has_one = spares + book.connections > book.calls + book.promised.len();
        if has_one {
            book.promised.push(now);
        }
        has_one || book.no_opening_before.is_some_and(|then| now < then)
    }

    fn could_not_open(&self, way: &Way) {
        self.held().book(way).no_opening_before = Some(Instant::now() + PAUSE);
    }

    fn begin(&self, way: &Way) {
        let mut held = self.held();
        let book = held.book(way);
        book.calls += 1;
        if !book.promised.is_empty() {
            book.promised.remove(0);
        }
    }

    fn end(&self, way: &Way, is_reusable: bool) {
        let mut held = self.held();
        let book = held.book(way);
        book.calls = book.calls.saturating_sub(1);
        if !is_reusable {
            book.connections = book.connections.saturating_sub(1);
        }
        book.used_at = Some(Instant::now());
    }
}

impl<C: Read + Unpin + Send + 'static> Spares<C> {
    /// A connection for a call that must be written before that: a spare, or else the one that is being opened.
    ///
    /// What is not ready in time is kept for the next call: it goes on in a task of its own.
    async fn to_write(
        self: Arc<Self>,
        way: Way,
        before: Deadline,
        mut connecting: Connecting<C>,
    ) -> Result<C, BoxError> {
        let connection = if let Some(spare) = self.take(&way) {
            spare
        } else if let Ok(connected) = timeout_at(before.monotonic(), &mut connecting).await {
            connected?
        } else {
            tokio::spawn(async move {
                if let Ok(Ok(connection)) = timeout(self.longest_connect, connecting).await {
                    self.keep(way, connection);
                }
            });
            return Err(TOO_LATE.into());
        };
        // The timer runs by the monotonic clock alone. Nothing that outlived a suspension is kept.
        if before.has_come() {
            return Err(TOO_LATE.into());
        }
        // The pool had none that is idle, so all that there are belong to calls.
        let mut held = self.held();
        let book = held.book(&way);
        book.connections = book.calls;
        Ok(connection)
    }

    /// The spare that was opened last, of those over which the other side has neither spoken nor hung up.
    fn take(&self, way: &Way) -> Option<C> {
        let mut held = self.held();
        held.sweep();
        while let Some(at) = held.spares.iter().rposition(|spare| spare.way == *way) {
            let mut spare = held.spares.remove(at);
            if is_silent(&mut spare.connection) {
                return Some(spare.connection);
            }
        }
        None
    }

    fn keep(self: &Arc<Self>, way: Way, connection: C) {
        let until = Deadline::within(SPARE_LIFE, &self.wall_clock);
        self.held().spares.push(Spare { way, connection, until });
        let spares = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(SPARE_LIFE).await;
            if let Some(spares) = spares.upgrade() {
                spares.held().sweep();
            }
        });
    }
}

/// Whether nothing has come from the other side, not even its end.
fn is_silent(connection: &mut (impl Read + Unpin)) -> bool {
    let mut byte = [0];
    let mut read = ReadBuf::new(&mut byte);
    let mut context = Context::from_waker(Waker::noop());
    Pin::new(connection).poll_read(&mut context, read.unfilled()).is_pending()
}

/// The layer around a connector that asks the spares first.
pub(super) struct Keeping<C>(pub(super) Arc<Spares<C>>);

impl<C> Clone for Keeping<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, C> Layer<Connector<T, C>> for Keeping<C> {
    type Service = KeepingConnector<T, C>;

    fn layer(&self, connector: Connector<T, C>) -> Self::Service {
        KeepingConnector { connector, spares: Arc::clone(&self.0) }
    }
}

/// A connector with its spares.
pub(super) struct KeepingConnector<T, C> {
    connector: Connector<T, C>,
    spares: Arc<Spares<C>>,
}

impl<T, C> Clone for KeepingConnector<T, C> {
    fn clone(&self) -> Self {
        Self { connector: self.connector.clone(), spares: Arc::clone(&self.spares) }
    }
}

impl<T, C> Service<T> for KeepingConnector<T, C>
where
    T: 'static,
    C: Read + Unpin + Send + 'static,
{
    type Response = C;
    type Error = BoxError;
    type Future = Connecting<C>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, target: T) -> Connecting<C> {
        // It begins where it is first polled.
        let connecting = self.connector.call(target);
        let spares = Arc::clone(&self.spares);
        match WANTED.try_with(Wanted::clone) {
            Ok(Wanted::ToWrite(way, before)) => Box::pin(spares.to_write(way, before, connecting)),
            Ok(Wanted::ToKeep(way)) => Box::pin(async move {
                let connection = connecting.await?;
                spares.keep(way, connection);
                Err("the connection is kept for a later call".into())
            }),
            Err(_) => Box::pin(async { Err("this connection has no deadline".into()) }),
        }
    }
}

#[cfg(test)]
mod tests;
