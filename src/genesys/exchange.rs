//! One HTTP exchange: a request out, once, and a whole, bounded answer back.
//!
//! Invariant: an answer is either whole or known not to be; what it means is decided elsewhere.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{
    Request, Response,
    header::{DATE, HeaderMap, RETRY_AFTER},
};

use super::{
    client::{Clients, Lane, Lost},
    error_answer::Call,
    failure::{name, with_causes},
    permit::Deadline,
    retry_after,
};

/// The largest body that is read, after decompression: 16 KiB for each of the 1000 conversations that one details
/// call asks about at most.
const MAX_BODY: usize = 16 * 1024 * 1024;

const CORRELATION_ID: &str = "inin-correlation-id";
const RATE_ALLOWED: &str = "inin-ratelimit-allowed";

/// An answer whose head was read.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) correlation_id: Option<String>,
    /// The whole body, or why it could not be read.
    pub(super) body: Result<Vec<u8>, String>,
    headers: HeaderMap,
}

/// Sends the request and reads the answer to its end.
pub(super) async fn exchange(
    clients: &Clients,
    call: Call,
    request: Request,
    write_before: Deadline,
) -> Result<Reply, Lost> {
    let lane = if call == Call::Submit { Lane::Submit } else { Lane::Query };
    let timed = clients.meters.upstream_call(&clients.org, call.name());
    let response = match clients.send(lane, request, write_before).await {
        Ok(response) => response,
        Err(lost) => {
            timed.end(lost.word());
            return Err(lost);
        }
    };
    let headers = response.headers().clone();
    let correlation_id = headers.get(CORRELATION_ID).and_then(|value| name(value.to_str().ok()?));
    let status = response.status().as_u16();
    let body = read_whole(response, MAX_BODY).await;
    match &body {
        Ok(_) => timed.end_with_status(status),
        Err(_) => timed.end("broken_off"),
    }
    Ok(Reply { status, correlation_id, body, headers })
}

impl Reply {
    /// Whether this is a success whose body can be taken for the whole answer: 206 says itself that it is not.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status) && self.status != 206
    }

    /// The body of a failure, as far as it could be read: the status says what it means even without.
    pub(super) fn failure_body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// The calls a minute that upstream says it allows. Zero would mean "no limit" in this service's settings and
    /// "nothing" here, so it counts as not said.
    pub(super) fn allowed_per_minute(&self) -> Option<u32> {
        self.headers.get(RATE_ALLOWED)?.to_str().ok()?.trim().parse().ok().filter(|allowed| *allowed > 0)
    }

    /// Upstream's clock.
    pub(super) fn upstream_time(&self) -> Option<Timestamp> {
        let date = self.headers.get(DATE)?.to_str().ok()?;
        Timestamp::try_from(httpdate::parse_http_date(date.trim()).ok()?).ok()
    }

    /// The wait that a throttled answer asks for; `now` stands in for an upstream that does not tell its time.
    pub(super) fn wait(&self, message: Option<&str>, now: Timestamp) -> Option<Duration> {
        let values = self.headers.get_all(RETRY_AFTER).iter().filter_map(|value| value.to_str().ok());
        retry_after::wait(values, message, self.upstream_time().unwrap_or(now))
    }
}

async fn read_whole(mut response: Response, max: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > max => {
                return Err(format!("the answer is longer than {max} bytes"));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(format!("the answer broke off: {}", with_causes(&error.without_url()))),
        }
    }
}
