//! One HTTP exchange: a request out, once, and a whole, bounded answer back.
//!
//! Invariant: an answer is either whole or known not to be; what it means is decided elsewhere.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{
    Request, Response,
    header::{CONNECTION, DATE, HeaderMap, RETRY_AFTER},
};

use super::{
    client::{Clients, Lost},
    error_answer::Call,
    failure::{name, with_causes},
    permit::Deadline,
    retry_after,
    upstream::Lane,
};
use crate::crash::{self, Side};
use crate::domain::secrets::Secrets;

/// The largest body that is read of most calls, after decompression, and of every failure.
const LONGEST: usize = 256 * 1024;
/// What the facts of one conversation may take.
const LONGEST_RECORD: usize = 16 * 1024;
/// What a conflict may take to say that one conversation is protected.
const LONGEST_BLAME: usize = 1024;

/// A longer body is read further where it holds up no other task.
const LONGEST_INLINE: usize = 64 * 1024;

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

/// Sends the request, which names so many ids, and reads the answer to its end.
pub(super) async fn exchange(
    clients: &Clients,
    call: Call,
    request: Request,
    ids: usize,
    write_before: Deadline,
) -> Result<Reply, Lost> {
    let lane = if call == Call::Submit { Lane::Submit } else { Lane::Query };
    crash::pass(call.name(), Side::Before);
    let timed = clients.meters.upstream_call(&clients.org, call.name());
    let (response, under_way) = match clients.send(lane, request, write_before).await {
        Ok(sent) => sent,
        Err(lost) => {
            timed.end(lost.word());
            return Err(lost);
        }
    };
    let headers = response.headers().clone();
    let correlation_id = headers.get(CORRELATION_ID).and_then(|value| name(value.to_str().ok()?));
    let status = response.status().as_u16();
    let body = read_whole(response, longest(call, status, ids)).await;
    crash::pass(call.name(), Side::After);
    if lane == Lane::Query && body.is_ok() && !is_last(&headers) {
        under_way.end_well();
    }
    match &body {
        Ok(_) => timed.end_with_status(status),
        Err(_) => timed.end("broken_off"),
    }
    Ok(Reply { status, correlation_id, body, headers })
}

/// Whether the connection takes no more calls.
fn is_last(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("close"))
}

/// The largest body that is read of an answer: a few kilobytes of gzip become gigabytes for whoever reads on.
fn longest(call: Call, status: u16, ids: usize) -> usize {
    match call {
        Call::Facts if is_success(status) => ids.saturating_mul(LONGEST_RECORD).max(LONGEST_INLINE),
        Call::Submit => ids.saturating_mul(LONGEST_BLAME).max(LONGEST),
        Call::Facts | Call::Token | Call::Poll => LONGEST,
    }
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status) && status != 206
}

/// Reads a body further: at once if it is short, else on a thread that may take its time.
pub(super) async fn read_further<T: Send + 'static>(
    body: Vec<u8>,
    read: impl FnOnce(&[u8]) -> T + Send + 'static,
) -> Result<T, String> {
    if body.len() <= LONGEST_INLINE {
        return Ok(read(&body));
    }
    let reading = tokio::task::spawn_blocking(move || read(&body));
    reading.await.map_err(|error| format!("the answer could not be read: {error}"))
}

impl Reply {
    /// Whether this is a success whose body can be taken for the whole answer: 206 says itself that it is not.
    pub(super) fn is_success(&self) -> bool {
        is_success(self.status)
    }

    /// The body of a failure, as far as it could be read: the status says what it means even without.
    pub(super) fn take_failure_body(&mut self) -> Vec<u8> {
        std::mem::replace(&mut self.body, Ok(Vec::new())).unwrap_or_default()
    }

    /// Strikes secrets out of what is kept of the head.
    pub(super) fn strike(&mut self, secrets: &Secrets) {
        self.correlation_id = self.correlation_id.as_deref().and_then(|id| name(&secrets.strike(id)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_be_as_long_as_the_ids_need_that_were_asked_about() {
        const KIB: usize = 1024;
        let cases = [
            (Call::Facts, 200, 1, 64 * KIB),
            (Call::Facts, 200, 500, 8000 * KIB),
            (Call::Facts, 500, 500, 256 * KIB),
            (Call::Facts, 206, 500, 256 * KIB),
            (Call::Submit, 200, 1, 256 * KIB),
            (Call::Submit, 409, 1000, 1000 * KIB),
            (Call::Poll, 200, 0, 256 * KIB),
            (Call::Token, 200, 0, 256 * KIB),
        ];
        for (call, status, ids, expected) in cases {
            assert_eq!(longest(call, status, ids), expected, "{call:?} {status} {ids}");
        }
    }

    #[tokio::test]
    async fn a_long_body_is_read_on_another_thread() {
        let thread = |_: &[u8]| std::thread::current().id();
        let own = std::thread::current().id();
        assert_eq!(read_further(vec![0; LONGEST_INLINE], thread).await, Ok(own));
        assert_ne!(read_further(vec![0; LONGEST_INLINE + 1], thread).await, Ok(own));
    }
}
