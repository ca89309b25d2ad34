//! The HTTP clients of an org, with their one policy for time: nothing here knows what is sent.
//!
//! Invariant: no request is ever written twice. Two parts below us repeat requests if let:
//!
//! - reqwest repeats what HTTP/2 peers refuse; `retry::never` and HTTP/1 alone rule it out.
//! - hyper-util sends a request again on another connection if the kept-alive one that it was queued for closed
//!   before the request was begun, and reqwest has no switch for it. Nothing of the first had been written, so no
//!   upstream sees it twice; but [`Lane::Submit`] does without: it keeps no connections, and hyper-util never
//!   repeats what was queued for a fresh one. That also spares submits the race of a kept-alive connection that
//!   upstream closes while they are being written, which would put a whole job in doubt for nothing.

use std::{error::Error, future::Future, time::Duration};

use reqwest::{Client, ClientBuilder, Request, Response, redirect, retry};
use tower::util::MapFutureLayer;

use super::failure::with_causes;
use super::permit::Deadline;
use crate::meters::Meters;

/// The longest that name look-up, TCP and TLS may take together. Between regions they take well under a second;
/// what takes longer than this is not going to work out, and nothing was written yet.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that a call may take to the end of its answer. A token call and the call that waited for it then still
/// end well within a lease of 60 s; waiting for longer would hold up a worker for an answer that seldom comes.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Less than the 60 s after which load balancers usually drop an idle connection, so that a call seldom meets one
/// that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

type BoxError = Box<dyn Error + Send + Sync>;

tokio::task_local! {
    /// The moment before which the call that this task makes must be written.
    static WRITE_BEFORE: Deadline;
}

/// Why the clients could not be built.
#[derive(Debug, thiserror::Error)]
#[error("no HTTPS client can be built here (are CA certificates installed?): {0}")]
pub struct ClientError(String);

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// To connect.
    pub(super) connect: Duration,
    /// As a whole.
    pub(super) call: Duration,
}

impl Timeouts {
    /// The one policy; tests of what happens at its ends have shorter ones.
    pub(super) const POLICY: Self = Self { connect: CONNECT_TIMEOUT, call: CALL_TIMEOUT };
}

/// Which connections a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Kept-alive ones: for calls that change nothing.
    Query,
    /// A fresh one for each call.
    Submit,
}

/// A call without an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Surely, nothing of it was written.
    NotSent(String),
    /// Perhaps it was received, but no answer came in time.
    Silent(String),
    /// Perhaps it was received.
    Unknown(String),
}

impl Lost {
    /// A word for it in the metrics.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::NotSent(_) => "not_sent",
            Self::Silent(_) => "timeout",
            Self::Unknown(_) => "no_answer",
        }
    }
}

/// The HTTP clients of one org.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) org: String,
    pub(super) meters: Meters,
    query: Client,
    submit: Client,
}

impl Clients {
    /// Without `https` they need no CA certificates, and so can be built on a machine that has none.
    pub(super) fn build(org: &str, https: bool, timeouts: Timeouts) -> Result<Self, ClientError> {
        let build = |builder: ClientBuilder| {
            let builder = if https { builder } else { builder.tls_certs_only([]) };
            builder.build().map_err(|error| ClientError(with_causes(&error)))
        };
        Ok(Self {
            org: org.to_owned(),
            meters: Meters::silent(),
            query: build(builder(timeouts).pool_idle_timeout(IDLE_TIMEOUT))?,
            submit: build(builder(timeouts).pool_max_idle_per_host(0))?,
        })
    }

    /// Writes the request once, unless `write_before` has come, and reads the head of the answer.
    pub(super) async fn send(
        &self,
        lane: Lane,
        request: Request,
        write_before: Deadline,
    ) -> Result<Response, Lost> {
        if write_before.has_come() {
            return Err(Lost::NotSent(TOO_LATE.into()));
        }
        let client = match lane {
            Lane::Query => &self.query,
            Lane::Submit => &self.submit,
        };
        WRITE_BEFORE.scope(write_before, client.execute(request)).await.map_err(lost)
    }
}

/// What a call says that was not written because its permit ended.
pub(super) const TOO_LATE: &str = "the permit ended before the call could be written";

fn builder(timeouts: Timeouts) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("genesys-purge/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .retry(retry::never())
        // Credentials go to the configured hosts and nowhere else.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.call)
        .connector_layer(MapFutureLayer::new(connected_in_time))
}

/// Lets go of a connection that is ready only when its call may no longer be written.
///
/// hyper-util starts to connect within the task that makes the call, so the task's own deadline is found here. A
/// call over a kept-alive connection does not come this way: it is written at once. The timer runs by the monotonic
/// clock alone, so the wall clock is asked once there is a connection.
async fn connected_in_time<C>(
    connecting: impl Future<Output = Result<C, impl Into<BoxError>>>,
) -> Result<C, BoxError> {
    let Ok(write_before) = WRITE_BEFORE.try_with(Deadline::clone) else {
        return connecting.await.map_err(Into::into);
    };
    match tokio::time::timeout_at(write_before.monotonic(), connecting).await {
        Ok(_) if write_before.has_come() => Err(TOO_LATE.into()),
        Ok(connected) => connected.map_err(Into::into),
        Err(_) => Err(TOO_LATE.into()),
    }
}

/// Only a failure to connect proves that nothing was written: hyper begins to write once it is connected.
fn lost(error: reqwest::Error) -> Lost {
    let (not_sent, is_late) = (error.is_connect() || error.is_builder(), error.is_timeout());
    let message = with_causes(&error.without_url());
    match (not_sent, is_late) {
        (true, _) => Lost::NotSent(message),
        (false, true) => Lost::Silent(message),
        (false, false) => Lost::Unknown(message),
    }
}
