//! What happened to a purge is one trace, for a collector that is really asked: from the request to the webhooks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use genesys_purge::app::{Role, Service, World};
use genesys_purge::sandbox::Kind;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::process::LONG;
use crate::support::{Setup, TestService};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A collector: OTLP over HTTP, protobuf.
#[derive(Clone)]
struct Collector {
    url: String,
    spans: watch::Sender<Vec<Span>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self { url, spans: watch::Sender::new(Vec::new()) };
        let router = Router::new().route("/v1/traces", post(collect)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        collector
    }

    /// Its spans, once they have what is waited for.
    async fn wait_for(&self, is_there: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let mut spans = self.spans.subscribe();
        let found = timeout(LONG, spans.wait_for(|spans| is_there(spans))).await;
        found.unwrap_or_else(|_| panic!("it never came: {}", told(&self.spans.borrow()))).unwrap().clone()
    }
}

async fn collect(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let sent = ExportTraceServiceRequest::decode(body).unwrap();
    for resource in sent.resource_spans {
        let named = resource.resource.unwrap().attributes;
        assert!(named.iter().any(|attribute| attribute.key == "service.name"), "{named:?}");
        for scope in resource.scope_spans {
            collector.spans.send_modify(|spans| spans.extend(scope.spans));
        }
    }
    StatusCode::OK
}

fn attribute(span: &Span, key: &str) -> String {
    let value = span.attributes.iter().find(|attribute| attribute.key == key);
    match value.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// The trace as text: what hangs on what, when it began and how long it took.
fn told(spans: &[Span]) -> String {
    let mut children: BTreeMap<&[u8], Vec<&Span>> = BTreeMap::new();
    let ids: BTreeSet<&[u8]> = spans.iter().map(|span| span.span_id.as_slice()).collect();
    for span in spans {
        let parent =
            if ids.contains(span.parent_span_id.as_slice()) { &span.parent_span_id[..] } else { &[] };
        children.entry(parent).or_default().push(span);
    }
    let start = spans.iter().map(|span| span.start_time_unix_nano).min().unwrap_or_default();
    let mut text = String::new();
    let mut open: Vec<(usize, &Span)> = Vec::new();
    let below = |parent: &[u8], depth| {
        let mut spans = children.get(parent).cloned().unwrap_or_default();
        spans.sort_by_key(|span| std::cmp::Reverse(span.start_time_unix_nano));
        spans.into_iter().map(move |span| (depth, span)).collect::<Vec<_>>()
    };
    open.extend(below(&[], 0));
    while let Some((depth, span)) = open.pop() {
        let millis = |nanos: u64| nanos / 1_000_000;
        let told: Vec<String> = ["event", "http.response.status_code", "job.id"]
            .into_iter()
            .map(|key| attribute(span, key))
            .filter(|value| !value.is_empty())
            .collect();
        let error = span.status.as_ref().map(|status| status.message.as_str()).unwrap_or_default();
        let name = format!("{:indent$}{}", "", span.name, indent = 2 * depth);
        let (after, took) = (
            millis(span.start_time_unix_nano - start),
            millis(span.end_time_unix_nano - span.start_time_unix_nano),
        );
        writeln!(text, "{name:<24} +{after:>6} ms {took:>5} ms  {} {error}", told.join(" ")).unwrap();
        open.extend(below(&span.span_id, depth + 1));
    }
    text
}

fn has_end(spans: &[Span]) -> bool {
    let ended = |span: &Span| attribute(span, "event") == "purge_completed";
    spans.iter().any(ended) && spans.iter().any(|span| span.name == "POST /purges")
}

async fn purge_with(test: &TestService, traceparent: Option<&str>) -> Uuid {
    let body = json!({ "conversationIds": test.ids_of(Kind::Eligible)[..3] });
    let mut request = test.request(Method::POST, "/purges").json(&body);
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    let purge: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    purge["id"].as_str().unwrap().parse().unwrap()
}

async fn traced(collector: &Collector) -> (TestService, Service) {
    let setup = Setup::new().role(Role::Api).env("PURGE__TELEMETRY__OTLP_ENDPOINT", &collector.url);
    let test = setup.start().await;
    let place = test.database.place();
    let worker = Service::start(&test.settings, &World::machine(), &place, Role::Worker).await.unwrap();
    (test, worker)
}

#[tokio::test]
async fn one_trace_follows_a_purge_over_two_processes_from_the_request_to_the_webhooks() {
    let collector = Collector::start().await;
    let (test, worker) = traced(&collector).await;

    let purge = purge_with(&test, Some(&format!("00-{TRACE}-{CALLER}-01"))).await;
    assert_eq!(test.finished(purge).await["state"], "completed");
    let spans = collector.wait_for(has_end).await;

    println!("{}", told(&spans));
    assert!(spans.iter().all(|span| hex::encode(&span.trace_id) == TRACE), "{}", told(&spans));
    let request = spans.iter().find(|span| span.name == "POST /purges").unwrap();
    assert_eq!(hex::encode(&request.parent_span_id), CALLER);
    for step in ["validate", "submit", "poll", "look", "deliver"] {
        let span = spans.iter().find(|span| span.name == step && span.parent_span_id == request.span_id);
        let span = span.unwrap_or_else(|| panic!("no {step}: {}", told(&spans)));
        assert_eq!(attribute(span, "purge.id"), purge.to_string());
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    }
    let call = |name: &str, of: &str| {
        spans.iter().any(|span| {
            let parent = spans.iter().find(|parent| parent.span_id == span.parent_span_id);
            span.name == name && parent.is_some_and(|parent| parent.name == of)
        })
    };
    assert!(
        call("details", "validate") && call("submit", "submit") && call("details", "look"),
        "{}",
        told(&spans)
    );
    // The receiver is told of the span that its own belong under.
    let hooks = test.receiver.wait_for(1, |hook| hook.event() == "purge_completed").await;
    let delivered = spans.iter().find(|span| attribute(span, "event") == "purge_completed").unwrap();
    assert_eq!(hooks[0].headers["traceparent"], format!("00-{TRACE}-{}-01", hex::encode(&delivered.span_id)));
    let history = test.get(&format!("/purges/{purge}/events")).await;
    assert_eq!(history["items"][0]["payload"]["traceparent"], format!("00-{TRACE}-{CALLER}-01"));
    worker.stop().await;
    test.end().await;
}

#[tokio::test]
async fn without_a_traceparent_the_trace_has_the_purges_id_and_one_that_is_not_kept_is_left_alone() {
    let collector = Collector::start().await;
    let (test, worker) = traced(&collector).await;

    let unkept = purge_with(&test, Some(&format!("00-{TRACE}-{CALLER}-00"))).await;
    assert_eq!(test.finished(unkept).await["state"], "completed");
    let own = purge_with(&test, None).await;
    test.finished(own).await;
    worker.stop().await;
    let spans = collector.wait_for(|spans| spans.iter().any(|span| span.name == "deliver")).await;

    assert!(spans.iter().all(|span| span.trace_id == own.as_bytes()), "{}", told(&spans));
    let hooks = test.receiver.wait_for(2, |hook| hook.event() == "purge_completed").await;
    let of = |purge: Uuid| hooks.iter().find(|hook| hook.body["purgeId"] == purge.to_string()).unwrap();
    assert!(of(unkept).headers["traceparent"].starts_with(&format!("00-{TRACE}-")));
    assert!(of(unkept).headers["traceparent"].ends_with("-00"), "nobody keeps it");
    assert!(of(own).headers["traceparent"].starts_with(&format!("00-{}-", own.simple())));
    test.end().await;
}

#[tokio::test]
async fn a_collector_that_is_away_or_says_nothing_harms_nobody_and_holds_up_no_stop() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), away] {
        let url = format!("http://{address}");
        let test = Setup::new().env("PURGE__TELEMETRY__OTLP_ENDPOINT", &url).start().await;
        let purge = purge_with(&test, None).await;
        assert_eq!(test.finished(purge).await["state"], "completed");
        timeout(LONG, test.end()).await.expect("it stops");
    }
}
