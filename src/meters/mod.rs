//! Counters and timers of a process, and the page for Prometheus.
//!
//! Each service has a recorder of its own, handed on by `app`. The macros of the `metrics` crate would write to one
//! recorder for the whole process, and a process of tests runs many services at once, of which none may count what
//! another did. What is handed on has a method for each thing that is recorded, so that the names and labels of all
//! metrics stand in one table, and a caller can't make a series that the table does not know.
//!
//! What is so at the moment of the scrape (queues, pools, memory) is never kept here: it is written on the [`Page`] when
//! it is asked for, so that nothing stale is shown for something that could not be read.
//!
//! Invariant: meters never waits, recording never fails, and no label holds an id or a text from outside.

mod machine;
mod page;
mod record;
mod table;
mod timed;

use std::sync::Arc;

use metrics::{Key, Label, Level, Metadata, Recorder as _, SharedString};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

pub use page::Page;
pub use record::{Collision, Leased};
pub use table::*;
pub use timed::Timed;

/// Where a service records; a clone records to the same place.
#[derive(Clone, Default)]
pub struct Meters(Option<Arc<Ours>>);

struct Ours {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

static METADATA: Metadata<'static> = Metadata::new("genesys_purge", Level::INFO, None);

impl Meters {
    /// For a service of these orgs. What can be known beforehand begins at 0, so that the first of a kind is a rise.
    pub fn new<'a>(orgs: impl IntoIterator<Item = &'a str>) -> Self {
        let mut builder = PrometheusBuilder::new();
        for meter in TABLE {
            if let Kind::Histogram(bounds) = meter.kind {
                builder = builder
                    .set_buckets_for_metric(Matcher::Full(meter.name.to_owned()), bounds)
                    .expect("every histogram of the table has bounds");
            }
        }
        let recorder = builder.build_recorder();
        for meter in TABLE {
            let (name, help) = (meter.name.into(), SharedString::const_str(meter.help));
            match meter.kind {
                Kind::Counter => recorder.describe_counter(name, None, help),
                Kind::Gauge => recorder.describe_gauge(name, None, help),
                Kind::Histogram(_) => recorder.describe_histogram(name, None, help),
            }
        }
        let handle = recorder.handle();
        let meters = Self(Some(Arc::new(Ours { recorder, handle })));
        meters.begin(orgs);
        meters
    }

    /// Records nothing: for commands that nobody scrapes.
    pub fn silent() -> Self {
        Self(None)
    }

    /// Takes in what was recorded since the last time. Between scrapes it must be called every few seconds: each
    /// sample of a histogram is kept until then.
    pub fn run_upkeep(&self) {
        if let Some(ours) = &self.0 {
            ours.handle.run_upkeep();
        }
    }

    /// A page with everything that was recorded, and what the system tells of the process.
    pub fn page(&self) -> Page {
        let recorded = self.0.as_ref().map(|ours| ours.handle.render());
        let mut page = Page::new(recorded.unwrap_or_default());
        machine::write(&mut page);
        page
    }

    fn add<const N: usize>(&self, meter: &'static Meter, labels: [SharedString; N], number: u64) {
        if let Some(ours) = &self.0 {
            ours.recorder.register_counter(&key(meter, labels), &METADATA).increment(number);
        }
    }

    fn observe<const N: usize>(&self, meter: &'static Meter, labels: [SharedString; N], seconds: f64) {
        if let Some(ours) = &self.0 {
            ours.recorder.register_histogram(&key(meter, labels), &METADATA).record(seconds);
        }
    }

    fn shift(&self, meter: &'static Meter, by: f64) {
        if let Some(ours) = &self.0 {
            ours.recorder.register_gauge(&key(meter, []), &METADATA).increment(by);
        }
    }
}

fn key<const N: usize>(meter: &'static Meter, labels: [SharedString; N]) -> Key {
    debug_assert_eq!(meter.labels.len(), N, "{}", meter.name);
    let labels: Vec<Label> =
        meter.labels.iter().zip(labels).map(|(name, value)| Label::new(*name, value)).collect();
    Key::from_parts(meter.name, labels)
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters").field("is_silent", &self.0.is_none()).finish()
    }
}
