//! One delivery of one payload to one receiver.
//!
//! Invariant: one call of [`Sender::send`] makes one POST, and follows no redirect: a signed payload goes to its own
//! address or nowhere, and to one that a caller named only if the rules allow it. No part of an answer that leaves
//! this file contains a secret.

use std::{error::Error, sync::Arc, time::Duration};

use jiff::Timestamp;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect, retry,
};

use secrecy::{ExposeSecret as _, SecretString};

use super::guard::{Guard, Lookup, NotAllowed, SystemLookup};
use super::sign::SigningSecret;
use crate::domain::address::AddressRules;
use crate::domain::retry_after;
use crate::domain::secrets::Secrets;
use crate::domain::unreached::{place, unreached};

/// The longest piece of a receiver's answer that an error shows, in characters.
const MAX_EXCERPT: usize = 200;
/// The longest piece of it that is kept, in bytes.
const MAX_BODY: usize = 4 * 1024;
/// How much of it is searched: a secret may start within the stored part and end after it.
const MAX_LOOKED_AT: usize = 2 * MAX_BODY;
/// No more of an answer is read, however much comes.
const MAX_READ: usize = 64 * 1024;
/// No wait that a receiver asks for is longer.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// A piece of a receiver's URL of this length may be a token.
const SHORTEST_TOKEN: usize = 12;
/// Connecting may not use up the time that the receiver has for its work.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Receivers get few calls, in bursts.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a payload was not delivered, in one short line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// 410: the receiver wants no more of them.
    #[error("the receiver answered 410: it is gone")]
    Gone,
    /// The receiver did not accept it.
    #[error("the receiver answered {status}{}", said(*status, excerpt))]
    Status {
        /// Its status; one of 3xx is a redirect that was not followed.
        status: u16,
        /// The start of its answer: at most 200 characters, on one line.
        excerpt: String,
    },
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("no answer: {0}")]
    Transport(String),
    /// It can't be sent as it is.
    #[error("can't be sent: {0}")]
    Unsendable(&'static str),
    /// A caller named it, and it is, or stands for, an address that callers may not name.
    #[error("the address is not allowed")]
    NotAllowed,
    /// This machine can't verify any receiver's certificate.
    #[error("https receivers can't be reached from this machine: {0}")]
    NoHttps(String),
}

fn said(status: u16, excerpt: &str) -> String {
    match (status, excerpt) {
        (300..400, _) => ": redirects are not followed".to_owned(),
        (_, "") => String::new(),
        (_, excerpt) => format!(": {excerpt}"),
    }
}

/// The destination of payloads, and their signing secrets.
#[derive(Debug, Clone)]
pub struct Destination {
    url: Url,
    /// All of them sign: while a receiver changes its secret, it knows one or the other.
    secrets: Vec<SigningSecret>,
    /// From the start of the connection to the last byte of the answer.
    timeout: Duration,
    is_guarded: bool,
    /// Secrets that its answers may contain.
    confidential: Secrets,
}

impl Destination {
    /// The operator's own receiver, from the configuration: it may be anywhere.
    pub fn of_operator(url: Url, secrets: Vec<SigningSecret>, timeout: Duration) -> Self {
        let confidential = confidential(&url, &secrets);
        Self { url, secrets, timeout, is_guarded: false, confidential }
    }

    /// A receiver that a caller named: it gets nothing unless the sender's rules allow its address.
    pub fn of_caller(url: Url, secrets: Vec<SigningSecret>, timeout: Duration) -> Self {
        Self { is_guarded: true, ..Self::of_operator(url, secrets, timeout) }
    }

    /// The same as it is stored; of its secrets those that can be read.
    pub(super) fn stored(url: &str, secrets: &[SecretString], timeout: Duration) -> Result<Self, SendError> {
        let secrets = keys(secrets)?;
        let url = Url::parse(url).map_err(|_| SendError::Unsendable("its address can't be read"))?;
        Ok(Self::of_caller(url, secrets, timeout))
    }

    /// The value of `webhook-signature`.
    fn signature(&self, id: &str, timestamp: Timestamp, payload: &str) -> Result<HeaderValue, SendError> {
        let signatures: Vec<String> =
            self.secrets.iter().map(|secret| secret.sign(id, timestamp, payload)).collect();
        if signatures.is_empty() {
            return Err(SendError::Unsendable("there is no secret to sign it with"));
        }
        HeaderValue::from_str(&signatures.join(" "))
            .map_err(|_| SendError::Unsendable("the signature can't be sent in a header"))
    }
}

/// Those of the stored secrets that can be read.
pub(super) fn keys(secrets: &[SecretString]) -> Result<Vec<SigningSecret>, SendError> {
    let parsed = secrets.iter().filter_map(|secret| SigningSecret::parse(secret.expose_secret()).ok());
    let keys: Vec<_> = parsed.collect();
    if keys.is_empty() { Err(SendError::Unsendable("its secret can't be read")) } else { Ok(keys) }
}

fn confidential(url: &Url, signing: &[SigningSecret]) -> Secrets {
    let mut secrets = Secrets::default();
    for secret in signing {
        secrets.add(&secret.expose());
    }
    if let Some(password) = url.password() {
        secrets.add_client(url.username(), password);
    }
    let segments = url.path_segments().into_iter().flatten().map(str::to_owned);
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    for token in segments.chain(values).filter(|token| token.len() >= SHORTEST_TOKEN) {
        secrets.add(&token);
    }
    secrets
}

/// A message to send.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The event: the same at every attempt.
    pub id: &'a str,
    pub payload: &'a str,
    /// The trace that the receiver may continue.
    pub traceparent: Option<&'a str>,
}

impl<'a> Message<'a> {
    /// A message that belongs to no trace.
    pub const fn new(id: &'a str, payload: &'a str) -> Self {
        Self { id, payload, traceparent: None }
    }
}

/// The result of a POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The receiver's 2xx status: delivered, whatever becomes of the rest of its answer.
    pub taken: Result<u16, SendError>,
    /// `None`: it did not answer.
    pub answer: Option<Answer>,
}

/// How a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The start of its body, at most 4 KiB, without secrets.
    pub body: String,
    /// Its `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl From<SendError> for Sent {
    fn from(error: SendError) -> Self {
        Self { taken: Err(error), answer: None }
    }
}

#[derive(Debug, Clone)]
pub struct Sender {
    /// To wherever the configuration says.
    open: Clients,
    /// Only connects to allowed addresses.
    guarded: Clients,
    rules: Arc<AddressRules>,
}

#[derive(Debug, Clone)]
struct Clients {
    http: Client,
    /// A machine without CA certificates can still deliver to receivers without TLS.
    https: Result<Client, String>,
}

impl Clients {
    fn new(builder: impl Fn() -> reqwest::ClientBuilder) -> Result<Self, SendError> {
        let http =
            builder().tls_certs_only([]).build().map_err(|error| SendError::Transport(causes(&error)))?;
        Ok(Self { http, https: builder().build().map_err(|error| causes(&error)) })
    }

    fn of(&self, url: &Url) -> Result<&Client, SendError> {
        match (url.scheme(), &self.https) {
            ("http", _) => Ok(&self.http),
            ("https", Ok(https)) => Ok(https),
            ("https", Err(why)) => Err(SendError::NoHttps(why.clone())),
            _ => Err(SendError::Unsendable("the address is neither https nor http")),
        }
    }
}

impl Sender {
    /// A sender; the rules are those for [`Destination::of_caller`]. Fails only if the HTTP library itself can't be
    /// set up.
    pub fn new(rules: AddressRules) -> Result<Self, SendError> {
        Self::with_lookup(rules, Arc::new(SystemLookup::default()))
    }

    /// A sender that looks the names of callers up elsewhere than in the system.
    pub fn with_lookup(rules: AddressRules, lookup: Arc<dyn Lookup>) -> Result<Self, SendError> {
        let rules = Arc::new(rules);
        let guard = Arc::new(Guard { rules: Arc::clone(&rules), lookup });
        Ok(Self {
            open: Clients::new(builder)?,
            guarded: Clients::new(|| builder().dns_resolver(Arc::clone(&guard)))?,
            rules,
        })
    }

    /// The client for this destination. An address in the URL itself is never resolved, so it is checked here.
    fn client(&self, to: &Destination) -> Result<&Client, SendError> {
        if !to.is_guarded {
            return self.open.of(&to.url);
        }
        self.rules.check(&to.url).map_err(|_| SendError::NotAllowed)?;
        self.guarded.of(&to.url)
    }

    /// Checks whether the receiver answers: a `HEAD` without a payload, an id or a signature, which no receiver can
    /// take for an event. Returns the status of any answer.
    pub async fn probe(&self, url: &Url, timeout: Duration) -> Result<u16, SendError> {
        let sent = self.open.of(url)?.head(url.clone()).timeout(timeout).send().await;
        sent.map(|response| response.status().as_u16()).map_err(|error| {
            if error.is_timeout() { SendError::Timeout(timeout) } else { SendError::Transport(lost(error)) }
        })
    }

    /// Posts a payload, signed.
    pub async fn send(&self, to: &Destination, message: Message<'_>, timestamp: Timestamp) -> Sent {
        match self.answered(to, message, timestamp).await {
            Ok(response) => {
                let answer = read(response, timestamp, &to.confidential).await;
                Sent { taken: verdict(&answer), answer: Some(answer) }
            }
            Err(error) => error.into(),
        }
    }

    /// The head of the answer.
    async fn answered(
        &self,
        to: &Destination,
        message: Message<'_>,
        timestamp: Timestamp,
    ) -> Result<Response, SendError> {
        let Message { id, payload, traceparent } = message;
        let client = self.client(to)?;
        let id_header = HeaderValue::from_str(id)
            .map_err(|_| SendError::Unsendable("the id can't be sent in a header"))?;
        let signature = to.signature(id, timestamp, payload)?;
        let mut request = client
            .post(to.url.clone())
            .timeout(to.timeout)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("webhook-id", id_header)
            .header("webhook-timestamp", timestamp.as_second())
            .header("webhook-signature", signature)
            .body(payload.to_owned());
        if let Some(traceparent) = traceparent {
            request = request.header("traceparent", traceparent);
        }
        request.send().await.map_err(|error| {
            if chain(&error).any(<dyn Error>::is::<NotAllowed>) {
                SendError::NotAllowed
            } else if error.is_timeout() && !error.is_connect() {
                SendError::Timeout(to.timeout)
            } else {
                SendError::Transport(lost(error))
            }
        })
    }
}

fn verdict(answer: &Answer) -> Result<u16, SendError> {
    match StatusCode::from_u16(answer.status) {
        Ok(status) if status.is_success() => Ok(answer.status),
        Ok(StatusCode::GONE) => Err(SendError::Gone),
        _ => Err(SendError::Status { status: answer.status, excerpt: excerpt(&answer.body) }),
    }
}

fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .user_agent(concat!("genesys-purge/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        // The limit of an answer is in bytes on the wire; it is not decompressed.
        .no_gzip()
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
}

/// An answer, as far as it arrives: its status alone decides.
async fn read(mut response: Response, now: Timestamp, secrets: &Secrets) -> Answer {
    let (status, retry_after) = (response.status().as_u16(), wait(response.headers(), now));
    let (mut begin, mut length) = (Vec::new(), 0);
    while length < MAX_READ
        && let Ok(Some(chunk)) = response.chunk().await
    {
        length += chunk.len();
        begin.extend_from_slice(&chunk[..chunk.len().min(MAX_LOOKED_AT - begin.len())]);
    }
    // Postgres knows no text with a NUL.
    let mut body = secrets.strike(&String::from_utf8_lossy(&begin)).replace('\0', "\u{fffd}");
    body.truncate(body.floor_char_boundary(MAX_BODY));
    Answer { status, body, retry_after }
}

/// The `Retry-After` of an answer; dates are measured by the receiver's `Date`, if given.
fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let date = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?.trim()).ok());
    let answered_at = date.and_then(|date| Timestamp::try_from(date).ok()).unwrap_or(now);
    let values = headers.get_all(RETRY_AFTER).iter().filter_map(|value| value.to_str().ok());
    retry_after::wait(values, answered_at, LONGEST_WAIT)
}

/// The start of a body, on one line.
fn excerpt(body: &str) -> String {
    let words = body.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(MAX_EXCERPT).collect()
}

/// Why there was no connection, or what broke it.
fn lost(error: reqwest::Error) -> String {
    match error.url().filter(|_| error.is_connect()).map(place) {
        // The innermost error.
        Some(place) => unreached(&place, &chain(&error).last().map(ToString::to_string).unwrap_or_default()),
        None => causes(&error.without_url()),
    }
}

/// An error's own words and those of its causes, on one line.
fn causes(error: &(dyn Error + 'static)) -> String {
    let words: Vec<String> = chain(error).map(ToString::to_string).collect();
    words.join(": ").chars().take(MAX_EXCERPT).collect()
}

/// An error and its causes.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests;
