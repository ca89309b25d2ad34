//! Spans, on their way to the collector: a bounded queue, and one task that sends what is in it.
//!
//! Invariant: recording a span never waits; spans that find no room, or no collector, are dropped and counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const QUEUE: usize = 4096;
const BATCH: usize = 512;
/// A span waits so long for others to go with.
const GATHERING: Duration = Duration::from_millis(500);
/// For one batch, whatever the collector does.
const LONGEST: Duration = Duration::from_secs(5);
/// For all that is left, at a stop.
const PARTING: Duration = Duration::from_secs(2);
/// How often the log says that spans are lost.
const COMPLAINT: Duration = Duration::from_mins(5);

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TracesError(String);

pub(super) struct Sending {
    queue: mpsc::Sender<SpanData>,
    dropped: Arc<AtomicU64>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Sending {
    pub(super) fn start(endpoint: &str) -> Result<Self, TracesError> {
        let exporter = exporter(endpoint)?;
        let (queue, spans) = mpsc::channel(QUEUE);
        let (dropped, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let sender = Sender { exporter, spans, dropped: Arc::clone(&dropped), complained: None };
        let task = tokio::spawn(sender.run(stop.clone()));
        Ok(Self { queue, dropped, stop, task: Mutex::new(Some(task)) })
    }

    pub(super) fn send(&self, span: SpanData) {
        if self.queue.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut task) = task else { return };
        if tokio::time::timeout(PARTING, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// The task that sends.
struct Sender {
    exporter: SpanExporter,
    spans: mpsc::Receiver<SpanData>,
    dropped: Arc<AtomicU64>,
    complained: Option<Instant>,
}

impl Sender {
    async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let is_over = tokio::select! {
                biased;
                number = self.spans.recv_many(&mut batch, BATCH) => number == 0,
                () = stop.cancelled() => break,
            };
            if is_over {
                break;
            }
            if batch.len() < BATCH {
                tokio::select! {
                    () = tokio::time::sleep(GATHERING) => {}
                    () = stop.cancelled() => {}
                }
            }
            while batch.len() < BATCH
                && let Ok(span) = self.spans.try_recv()
            {
                batch.push(span);
            }
            self.export(std::mem::take(&mut batch)).await;
        }
    }

    async fn export(&mut self, batch: Vec<SpanData>) {
        let number = batch.len() as u64;
        let sent = tokio::time::timeout(LONGEST, self.exporter.export(batch)).await;
        let why = match sent {
            Ok(Ok(())) if self.dropped.load(Ordering::Relaxed) == 0 => return,
            Ok(Ok(())) => "more came than could be sent".to_owned(),
            Ok(Err(error)) => {
                self.dropped.fetch_add(number, Ordering::Relaxed);
                error.to_string()
            }
            Err(_) => {
                self.dropped.fetch_add(number, Ordering::Relaxed);
                format!("no answer within {} s", LONGEST.as_secs())
            }
        };
        if self.complained.is_none_or(|at| at.elapsed() >= COMPLAINT) {
            self.complained = Some(Instant::now());
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            tracing::warn!(
                dropped,
                why,
                "traces could not be sent to telemetry.otlp_endpoint; the work goes on"
            );
        }
    }
}

fn exporter(endpoint: &str) -> Result<SpanExporter, TracesError> {
    let told = |error: &dyn std::fmt::Display| TracesError(error.to_string());
    let client =
        reqwest::Client::builder().no_proxy().timeout(LONGEST).redirect(reqwest::redirect::Policy::none());
    let client = Client(client.build().map_err(|error| told(&error))?);
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(LONGEST)
        .build()
        .map_err(|error| told(&error))?;
    let resource = Resource::builder_empty().with_attributes([
        KeyValue::new("service.name", env!("CARGO_PKG_NAME")),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ]);
    exporter.set_resource(&resource.build());
    Ok(exporter)
}

/// Our client, as the exporter wants it.
#[derive(Debug)]
struct Client(reqwest::Client);

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.0.execute(request.try_into()?).await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        Ok(response.body(answer.bytes().await?)?)
    }
}
