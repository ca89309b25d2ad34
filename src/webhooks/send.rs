//! One delivery of one payload to one receiver.
//!
//! Invariant: one call of [`Sender::send`] makes one POST, and follows no redirect: a signed payload goes to the
//! address that it was meant for or nowhere.

use std::{error::Error, time::Duration};

use jiff::Timestamp;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderValue},
    redirect, retry,
};

use super::sign::SigningSecret;

/// The longest piece of a receiver's answer that an error shows, in characters.
const MAX_EXCERPT: usize = 200;
/// How much of an answer is read for it, in bytes: enough for so many characters of UTF-8.
const MAX_READ: usize = 4 * MAX_EXCERPT;
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
    #[error("the receiver answered {status}{}", said(excerpt))]
    Status {
        /// Its status; one of 3xx is a redirect that was not followed.
        status: u16,
        /// How its answer begins: at most 200 characters, on one line.
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
    /// This machine can't verify any receiver's certificate.
    #[error("https receivers can't be reached from this machine: {0}")]
    NoHttps(String),
}

fn said(excerpt: &str) -> String {
    if excerpt.is_empty() { String::new() } else { format!(": {excerpt}") }
}

#[derive(Debug, Clone)]
pub struct Sender {
    http: Client,
    /// A machine without CA certificates can still deliver to receivers without TLS.
    https: Result<Client, String>,
}

impl Sender {
    /// A sender; fails only where the HTTP library itself can't be set up.
    pub fn new() -> Result<Self, SendError> {
        let http =
            builder().tls_certs_only([]).build().map_err(|error| SendError::Transport(causes(&error)))?;
        Ok(Self { http, https: builder().build().map_err(|error| causes(&error)) })
    }

    fn client(&self, url: &Url) -> Result<&Client, SendError> {
        match (url.scheme(), &self.https) {
            ("http", _) => Ok(&self.http),
            ("https", Ok(https)) => Ok(https),
            ("https", Err(why)) => Err(SendError::NoHttps(why.clone())),
            _ => Err(SendError::Unsendable("the address is neither https nor http")),
        }
    }

    /// Whether somebody answers there: a `HEAD` without a payload, an id or a signature, which no receiver can take for
    /// an event. Any answer will do; its status.
    pub async fn probe(&self, url: &Url, timeout: Duration) -> Result<u16, SendError> {
        let sent = self.client(url)?.head(url.clone()).timeout(timeout).send().await;
        sent.map(|response| response.status().as_u16()).map_err(|error| {
            // For a person: what happened at last, without the layers that it came through.
            let mut last: &dyn Error = &error;
            while let Some(cause) = last.source() {
                last = cause;
            }
            if error.is_timeout() {
                SendError::Timeout(timeout)
            } else {
                SendError::Transport(last.to_string())
            }
        })
    }

    /// Posts a payload, signed. `Ok` is the receiver's 2xx status: delivered. `timeout` is for all of it.
    pub async fn send(
        &self,
        url: &Url,
        secret: &SigningSecret,
        id: &str,
        timestamp: Timestamp,
        payload: &str,
        timeout: Duration,
    ) -> Result<u16, SendError> {
        let client = self.client(url)?;
        let id_header =
            HeaderValue::from_str(id).map_err(|_| SendError::Unsendable("the id can't stand in a header"))?;
        let signature = HeaderValue::from_str(&secret.sign(id, timestamp, payload))
            .map_err(|_| SendError::Unsendable("the signature can't stand in a header"))?;
        let sent = client
            .post(url.clone())
            .timeout(timeout)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("webhook-id", id_header)
            .header("webhook-timestamp", timestamp.as_second())
            .header("webhook-signature", signature)
            .body(payload.to_owned())
            .send()
            .await;
        match sent {
            Ok(response) if response.status().is_success() => Ok(response.status().as_u16()),
            Ok(response) if response.status() == StatusCode::GONE => Err(SendError::Gone),
            Ok(response) => {
                let status = response.status().as_u16();
                Err(SendError::Status { status, excerpt: excerpt(response).await })
            }
            Err(error) if error.is_timeout() && !error.is_connect() => Err(SendError::Timeout(timeout)),
            Err(error) => Err(SendError::Transport(causes(&error.without_url()))),
        }
    }
}

fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .user_agent(concat!("genesys-purge/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
}

/// How an answer begins, as far as it comes: the status alone is already a reason.
async fn excerpt(mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() < MAX_READ
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk[..chunk.len().min(MAX_READ - body.len())]);
    }
    let text = String::from_utf8_lossy(&body);
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(MAX_EXCERPT).collect()
}

/// An error's own words and those of its causes, on one line.
fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line.chars().take(MAX_EXCERPT).collect()
}

#[cfg(test)]
mod tests;
