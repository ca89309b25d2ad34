//! One span: what was done, when, and how it ended.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use uuid::Uuid;

/// Something that was done.
#[derive(Debug, Clone)]
pub struct Span {
    name: &'static str,
    began: Timestamp,
    took: Duration,
    attributes: Vec<KeyValue>,
    error: Option<String>,
}

impl Span {
    pub fn new(name: &'static str, began: Timestamp, took: Duration) -> Self {
        Self { name, began, took, attributes: Vec::new(), error: None }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<opentelemetry::Value>) -> Self {
        self.attributes.push(KeyValue::new(name, value));
        self
    }

    /// It failed, for this reason.
    #[must_use]
    pub fn failed(self, why: impl Into<String>) -> Self {
        Self { error: Some(why.into()), ..self }
    }

    pub(super) fn of(self, purge: Uuid) -> Self {
        self.with("purge.id", purge.to_string())
    }

    /// As it is sent; `parent` says whether the caller made it.
    pub(super) fn finish(self, context: SpanContext, parent: (SpanId, bool), kind: SpanKind) -> SpanData {
        let start_time = SystemTime::from(self.began);
        SpanData {
            span_context: context,
            parent_span_id: parent.0,
            parent_span_is_remote: parent.1,
            span_kind: kind,
            name: self.name.into(),
            start_time,
            end_time: start_time.checked_add(self.took).unwrap_or(start_time),
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: self.error.map_or(Status::Unset, Status::error),
            instrumentation_scope: InstrumentationScope::builder(env!("CARGO_PKG_NAME")).build(),
        }
    }
}
