//! What happened to a purge, as spans of one trace, for an OpenTelemetry collector: from the request over each step of the
//! engine to each webhook, in whichever process.
//!
//! Nothing is kept for it but what a caller says of its own trace: a purge's trace is that of the `traceparent` of its request,
//! else the purge's id, and the span that all others hang on has an id that follows from the purge's. So any process adds to
//! it without asking another.
//!
//! Invariant: traces never waits for a collector, never holds a secret or a conversation's id, and drops spans that
//! can't be sent in time.

mod sending;
mod span;
mod step;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceFlags, TraceId, TraceState};
use uuid::Uuid;

use crate::domain::trace_context::TraceContext;
use sending::Sending;

pub use sending::TracesError;
pub use span::Span;
pub use step::{Call, Step};

/// Purges of which is remembered to which trace they belong.
const REMEMBERED: usize = 10_000;
/// Spans of a purge that one process sends: a purge of millions has hundreds of thousands of steps.
const MOST_SPANS: u32 = 2_000;
/// Of a step for many purges, each of so many gets a span.
pub const MOST_PURGES: usize = 32;

/// A source of chance.
pub type Random = Arc<dyn Fn() -> [u8; 32] + Send + Sync>;

/// Where spans go; a clone goes to the same place.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Ours>>);

struct Ours {
    sending: Sending,
    random: Random,
    known: Mutex<HashMap<Uuid, Known>>,
}

/// What is known of a purge's trace.
#[derive(Debug, Clone, Copy)]
struct Known {
    trace_id: TraceId,
    /// Whoever sent the request keeps its trace, or sent none.
    is_sampled: bool,
    spans: u32,
}

impl Known {
    fn of(purge: Uuid, caller: Option<TraceContext<'_>>) -> Self {
        let own = TraceId::from_bytes(*purge.as_bytes());
        let trace_id = caller.and_then(|caller| TraceId::from_hex(caller.trace_id).ok()).unwrap_or(own);
        Self { trace_id, is_sampled: caller.is_none_or(|caller| caller.is_sampled), spans: 0 }
    }
}

impl Traces {
    /// Sends to the collector at this address, over HTTP, in batches.
    pub fn start(endpoint: &str, random: Random) -> Result<Self, TracesError> {
        let sending = Sending::start(endpoint)?;
        Ok(Self(Some(Arc::new(Ours { sending, random, known: Mutex::default() }))))
    }

    /// Whether anybody wants spans.
    pub fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// Looks up the traces of those of these purges that are not known yet.
    pub async fn look_up<E, F: Future<Output = Result<Vec<(Uuid, Option<String>)>, E>>>(
        &self,
        purges: &[Uuid],
        ask: impl FnOnce(Vec<Uuid>) -> F,
    ) -> Result<(), E> {
        let unknown = self.unknown(purges);
        if !unknown.is_empty() {
            for (purge, traceparent) in ask(unknown).await? {
                self.learn(purge, traceparent.as_deref());
            }
        }
        Ok(())
    }

    fn unknown(&self, purges: &[Uuid]) -> Vec<Uuid> {
        let Some(ours) = &self.0 else { return Vec::new() };
        let known = ours.known.lock().unwrap_or_else(PoisonError::into_inner);
        purges.iter().copied().filter(|purge| !known.contains_key(purge)).collect()
    }

    /// The `traceparent` of the request that made a purge; none where it had none.
    fn learn(&self, purge: Uuid, traceparent: Option<&str>) {
        let Some(ours) = &self.0 else { return };
        let mut known = ours.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.entry(purge).or_insert_with(|| Known::of(purge, traceparent.and_then(TraceContext::parse)));
    }

    /// Records the request that made a purge: the span that all others hang on.
    pub fn request(&self, purge: Uuid, traceparent: Option<&str>, span: Span) {
        self.learn(purge, traceparent);
        let caller = traceparent.and_then(TraceContext::parse);
        let parent = caller.and_then(|caller| SpanId::from_hex(caller.parent_id).ok());
        let Some((ours, known)) = self.admit(purge) else { return };
        let context = context(known.trace_id, root(purge));
        let parent = (parent.unwrap_or(SpanId::INVALID), parent.is_some());
        ours.sending.send(span.of(purge).finish(context, parent, SpanKind::Server));
    }

    /// Records a step for these purges, each of which is known.
    pub fn step(&self, purges: &[Uuid], span: &Span, calls: &[Call]) {
        for purge in purges.iter().take(MOST_PURGES) {
            let Some((ours, known)) = self.admit(*purge) else { continue };
            let id = ours.span_id();
            let (context_of, parent) = (context(known.trace_id, id), (root(*purge), false));
            ours.sending.send(span.clone().of(*purge).finish(context_of, parent, SpanKind::Internal));
            for call in calls {
                let context = context(known.trace_id, ours.span_id());
                ours.sending.send(call.span().of(*purge).finish(context, (id, false), SpanKind::Client));
            }
        }
    }

    /// Records an attempt to deliver a webhook that tells of a purge.
    pub fn delivery(&self, purge: Uuid, attempt: Numbered, span: Span) {
        let Some((ours, known)) = self.admit(purge) else { return };
        let context = context(known.trace_id, attempt.span_id());
        ours.sending.send(span.of(purge).finish(context, (root(purge), false), SpanKind::Producer));
    }

    /// The `traceparent` with which a receiver goes on in the trace of a purge, if the trace is known.
    pub fn traceparent(&self, purge: Uuid, attempt: Numbered) -> Option<String> {
        let ours = self.0.as_deref()?;
        let known = ours.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(&purge)?;
        let (trace_id, parent_id) = (known.trace_id.to_string(), attempt.span_id().to_string());
        let is_sampled = known.is_sampled && known.spans < MOST_SPANS;
        Some(TraceContext { trace_id: &trace_id, parent_id: &parent_id, is_sampled }.to_string())
    }

    /// Sends what is still to be sent, for a moment at most.
    pub async fn stop(&self) {
        if let Some(ours) = &self.0 {
            ours.sending.stop().await;
        }
    }

    /// Counts a span of a purge, unless its caller keeps none or it has had enough.
    fn admit(&self, purge: Uuid) -> Option<(&Ours, Known)> {
        let ours = self.0.as_deref()?;
        let mut known = ours.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_mut(&purge)?;
        known.spans = known.spans.saturating_add(1);
        (known.is_sampled && known.spans <= MOST_SPANS).then_some((ours, *known))
    }
}

/// An attempt to deliver. Its span has an id that follows from it, so that it can be told before the span is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    pub delivery: Uuid,
    pub attempt: u32,
}

impl Numbered {
    fn span_id(self) -> SpanId {
        let id = u64::from_be_bytes(root(self.delivery).to_bytes());
        SpanId::from_bytes(id.wrapping_add(self.attempt.into()).to_be_bytes())
    }
}

impl Ours {
    fn span_id(&self) -> SpanId {
        let random = (self.random)();
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&random[..8]);
        SpanId::from_bytes(bytes)
    }
}

impl std::fmt::Debug for Traces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traces").field("are_on", &self.are_on()).finish()
    }
}

/// The part of an id that is chance; of a purge's id, the span of its request.
fn root(purge: Uuid) -> SpanId {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&purge.as_bytes()[8..]);
    SpanId::from_bytes(bytes)
}

fn context(trace_id: TraceId, span_id: SpanId) -> SpanContext {
    SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::default())
}
