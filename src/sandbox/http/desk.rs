//! The way of each of the four calls: counted in, struck by a fault or not, worked on, recorded, answered.
//!
//! Invariant: a call that was read is worked on to its end even if its caller leaves, as a real upstream does; and it
//! is recorded before its answer is written.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use futures_util::stream;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::Sandbox;
use super::super::calls::{Call, CallEntry, Ending};
use super::super::clock::plus_millis;
use super::super::faults::{Effect, Garbage, Strike, When};
use super::super::limits::Reading;
use super::super::line::Line;
use super::super::world::Arrival;
use super::error::Refusal;

const HTML: &str = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\
                    <body><h1>Bad Gateway</h1></body></html>\n";

/// What the work on a call came to.
#[derive(Debug)]
pub(super) struct Worked {
    /// How many ids the call named.
    pub(super) ids: usize,
    pub(super) job_id: Option<Uuid>,
    /// JSON, or why not.
    pub(super) answer: Result<Vec<u8>, Refusal>,
}

impl From<Refusal> for Worked {
    fn from(refusal: Refusal) -> Self {
        Self { ids: 0, job_id: None, answer: Err(refusal) }
    }
}

/// An answer as it goes out.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Brings a call through; `work` is called once at the most, under no lock.
pub(super) async fn serve<W>(sandbox: Arc<Sandbox>, line: Line, call: Call, work: W) -> Response<Body>
where
    W: FnOnce(&Sandbox) -> Worked + Send + 'static,
{
    let task = tokio::spawn(bring_through(sandbox, line, call, work));
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a call of the sandbox broke");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal.error", "The sandbox broke.").into_body()
    })
}

async fn bring_through<W>(sandbox: Arc<Sandbox>, line: Line, call: Call, work: W) -> Response<Body>
where
    W: FnOnce(&Sandbox) -> Worked,
{
    let now = sandbox.now();
    let mut arrival = sandbox.world().arrive(call, now);
    let strike = arrival.strike.take();
    if let Some(reading) = arrival.reading.filter(|reading| reading.over) {
        let worked = Worked::from(over_limit(reading));
        return answer(&sandbox, &line, call, &arrival, worked, None);
    }
    if let Some(strike) = strike.as_ref().filter(|strike| strike.when == When::Before) {
        pause(strike, &line).await;
    }
    let is_worked_on =
        strike.as_ref().is_none_or(|strike| strike.when == When::After || strike.effect == Effect::None);
    let worked =
        if is_worked_on { work(&sandbox) } else { Worked { ids: 0, job_id: None, answer: Ok(Vec::new()) } };
    let response = answer(&sandbox, &line, call, &arrival, worked, strike.as_ref());
    if let Some(strike) = &strike {
        if strike.when == When::After {
            pause(strike, &line).await;
        }
        match strike.effect {
            Effect::Reset => line.cut(),
            Effect::Hang => {
                tokio::select! {
                    () = line.gone() => {}
                    () = line.closing() => line.cut(),
                }
            }
            _ => {}
        }
    }
    response
}

/// Waits as long as the fault says; a server that stops waits for nobody.
async fn pause(strike: &Strike, line: &Line) {
    if !strike.delay.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(strike.delay) => {}
            () = line.closing() => {}
        }
    }
}

/// Makes the answer and records the call. For a reset or a hang the answer is made for nobody.
fn answer(
    sandbox: &Sandbox,
    line: &Line,
    call: Call,
    arrival: &Arrival,
    worked: Worked,
    strike: Option<&Strike>,
) -> Response<Body> {
    let Worked { ids, job_id, answer } = worked;
    let honest = Reply::honest(answer, arrival.correlation_id);
    let effect = strike.map_or(&Effect::None, |strike| &strike.effect);
    let reply = honest.spoilt(effect, arrival.correlation_id);
    let status = reply.status.as_u16();
    let is_cut = *effect == Effect::Garbage(Garbage::CutBody);
    let ending = match effect {
        Effect::Reset => Ending::Reset,
        Effect::Hang => Ending::Hung,
        _ if is_cut => Ending::Cut(status),
        _ => Ending::Answered(status),
    };
    let now = sandbox.now();
    let skew = {
        let mut world = sandbox.world();
        if call != Call::Token && ending == Ending::Answered(429) {
            for wait in
                reply.headers.get_all(header::RETRY_AFTER).iter().filter_map(|wait| wait.to_str().ok())
            {
                world.retry_watch.told(now, wait);
            }
        }
        let correlation_id = arrival.correlation_id;
        let fault = strike.is_some();
        world.log.record(CallEntry {
            at: arrival.at,
            call,
            status: ending,
            ids,
            job_id,
            correlation_id,
            fault,
        });
        i64::from(world.settings.date_skew_ms)
    };
    tracing::debug!(?call, status = %ending, ids, ?job_id, "sandbox call");
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&plus_millis(now, skew)).ok();
    let mut response = reply.written(is_cut.then_some(line));
    for (name, value) in standing_headers(arrival, date) {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// The headers that every answer of the four calls carries, where a fault has not put others there.
fn standing_headers(arrival: &Arrival, date: Option<String>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = vec![("inin-correlation-id", arrival.correlation_id.to_string())];
    headers.extend(date.map(|date| ("date", date)));
    if let Some(reading) = arrival.reading {
        headers.push(("inin-ratelimit-count", reading.count.to_string()));
        headers.push(("inin-ratelimit-allowed", reading.allowed.to_string()));
        headers.push(("inin-ratelimit-reset", reading.reset.to_string()));
    }
    let known = |(name, value): (&'static str, String)| {
        Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?))
    };
    headers.into_iter().filter_map(known).collect()
}

fn over_limit(reading: Reading) -> Refusal {
    let message =
        format!("Rate limit exceeded the maximum. Retry the request in [{}] seconds", reading.reset);
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too.many.requests", message)
        .wait(reading.reset, reading.allowed)
}

impl Reply {
    fn json(status: StatusCode, body: Vec<u8>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { status, headers, body: body.into() }
    }

    fn honest(answer: Result<Vec<u8>, Refusal>, correlation_id: Uuid) -> Self {
        match answer {
            Ok(json) => Self::json(StatusCode::OK, json),
            Err(refusal) => {
                let mut reply = Self::json(refusal.status, refusal.body(Some(correlation_id)));
                if let Some(seconds) = refusal.retry_after {
                    reply.headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                reply
            }
        }
    }

    fn spoilt(self, effect: &Effect, correlation_id: Uuid) -> Self {
        let half = self.body.len() / 2;
        match effect {
            Effect::None | Effect::Reset | Effect::Hang | Effect::Garbage(Garbage::CutBody) => self,
            Effect::Answer { status, headers, body } => {
                let body = body
                    .clone()
                    .map_or_else(|| made_up(*status).body(Some(correlation_id)), String::into_bytes);
                let mut reply = Self::json(*status, body);
                // A fault's own Content-Type takes the place of JSON's.
                for name in headers.keys() {
                    reply.headers.remove(name);
                }
                reply.headers.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
                reply
            }
            Effect::Garbage(Garbage::Html) => {
                let mut reply = Self::json(StatusCode::OK, HTML.into());
                reply.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
                reply
            }
            Effect::Garbage(Garbage::CutJson) => Self { body: self.body.slice(..half), ..self },
            Effect::Garbage(Garbage::Empty) => Self::json(StatusCode::OK, Vec::new()),
            Effect::Garbage(Garbage::WrongShape) => Self::json(
                StatusCode::OK,
                br#"{"data":"none","jobId":7,"state":[],"access_token":null}"#.into(),
            ),
            Effect::Garbage(Garbage::Incomplete) => {
                let body = incomplete(&self.body).unwrap_or_else(|| self.body.clone());
                Self { body, ..self }
            }
        }
    }

    /// The answer for hyper; on a line that is to be cut, half of it under the length of the whole.
    fn written(self, cut: Option<&Line>) -> Response<Body> {
        let Self { status, mut headers, body } = self;
        let body = match cut {
            None => Body::from(body),
            Some(line) => {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
                cut_in_half(&body, line.clone())
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

fn cut_in_half(body: &Bytes, line: Line) -> Body {
    let half = body.slice(..body.len() / 2);
    // hyper writes the first half out before it asks for more; the line is cut when it does.
    let rest = stream::once(async move {
        tokio::task::yield_now().await;
        line.cut();
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    });
    let first = stream::once(async move { Ok::<_, std::io::Error>(half) });
    Body::from_stream(futures_util::StreamExt::chain(first, rest))
}

/// The object without the last half of its records; of one record, all.
fn incomplete(body: &[u8]) -> Option<Bytes> {
    let mut answer: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
    if let Some(Value::Array(records)) = answer.get_mut("data") {
        records.truncate(records.len().div_ceil(2));
    }
    answer.insert("errors".to_owned(), json!([{ "message": "A shard did not answer." }]));
    serde_json::to_vec(&answer).ok().map(Bytes::from)
}

/// The error body of a status that a fault made up without one.
fn made_up(status: StatusCode) -> Refusal {
    let code = status.canonical_reason().unwrap_or("unknown").to_ascii_lowercase().replace(' ', ".");
    Refusal::new(status, code, "A fault that was ordered from the sandbox.")
}

impl Refusal {
    fn into_body(self) -> Response<Body> {
        axum::response::IntoResponse::into_response(self)
    }
}
