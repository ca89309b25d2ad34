//! The HTTP clients of an org, with their one policy for time: nothing here knows what is sent.
//!
//! Invariant: no request is ever written twice. Two parts below us repeat requests if let:
//!
//! - reqwest repeats what HTTP/2 peers refuse; `retry::never` and HTTP/1 alone rule it out.
//! - hyper-util sends a request again on another connection if the kept-alive one that it was queued for closed
//!   before the request was begun, and reqwest has no switch for it. Nothing of the first had been written, so no
//!   upstream sees it twice; but [`Lane::Submit`] does without: it keeps no connections, and hyper-util never
//!   repeats what was queued for a fresh one. (A spare of [`super::connections`] is a fresh one to it: nothing was
//!   written over it.) That also spares submits the race of a kept-alive connection that
//!   upstream closes while they are being written, which would put a whole job in doubt for nothing.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, Method, Request, Response, Url, redirect, retry};

use super::{
    WallClock,
    connections::{Connections, Keeping, Spares, TOO_LATE, UnderWay, WANTED, Wanted, Way},
    failure::{last_cause, with_causes},
    permit::Deadline,
    upstream::Lane,
};
use crate::domain::unreached::{place, unreached};
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
    /// How long a connection is under way before it is begun.
    #[cfg(test)]
    pub(super) way: Duration,
}

impl Timeouts {
    /// The one policy; tests of what happens at its ends have shorter ones.
    pub(super) const POLICY: Self = Self {
        connect: CONNECT_TIMEOUT,
        call: CALL_TIMEOUT,
        #[cfg(test)]
        way: Duration::ZERO,
    };
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

/// The HTTP clients of one org. A clone shares their connections.
#[derive(Clone)]
pub(super) struct Clients {
    pub(super) org: String,
    pub(super) meters: Meters,
    query: Client,
    submit: Client,
    connections: Arc<dyn Connections>,
}

impl Clients {
    /// Without `https` they need no CA certificates, and so can be built on a machine that has none.
    pub(super) fn build(
        org: &str,
        https: bool,
        timeouts: Timeouts,
        wall_clock: &WallClock,
    ) -> Result<Self, ClientError> {
        let build = |builder: ClientBuilder| {
            let builder = if https { builder } else { builder.tls_certs_only([]) };
            builder.build().map_err(|error| ClientError(with_causes(&error)))
        };
        let spares = Spares::new(timeouts.connect, IDLE_TIMEOUT, wall_clock);
        let keeping = Keeping(Arc::clone(&spares));
        Ok(Self {
            org: org.to_owned(),
            meters: Meters::silent(),
            query: build(builder(timeouts).connector_layer(keeping.clone()).pool_idle_timeout(IDLE_TIMEOUT))?,
            submit: build(builder(timeouts).connector_layer(keeping).pool_max_idle_per_host(0))?,
            connections: spares,
        })
    }

    /// Writes the request once, unless `write_before` has come, and reads the head of the answer.
    pub(super) async fn send(
        &self,
        lane: Lane,
        request: Request,
        write_before: Deadline,
    ) -> Result<(Response, UnderWay), Lost> {
        if write_before.has_come() {
            return Err(Lost::NotSent(TOO_LATE.into()));
        }
        let client = match lane {
            Lane::Query => &self.query,
            Lane::Submit => &self.submit,
        };
        let way = Way::new(lane, request.url());
        let under_way = UnderWay::begin(&self.connections, way.clone());
        let sending = WANTED.scope(Wanted::ToWrite(way, write_before), client.execute(request));
        match sending.await.map_err(lost) {
            Ok(response) => Ok((response, under_way)),
            Err(lost) => {
                if matches!(lost, Lost::NotSent(_)) {
                    under_way.end_well();
                }
                Err(lost)
            }
        }
    }

    /// Opens a connection for a call that is about to come, unless there is one.
    ///
    /// The client without a pool does it for both lanes: nothing is ever written, since its connector keeps the
    /// connection, while one with a pool might take an idle one and write.
    pub(super) async fn prepare(&self, lane: Lane, url: &Url) {
        let way = Way::new(lane, url);
        if self.connections.promise(&way) {
            return;
        }
        let opening = self.submit.execute(Request::new(Method::GET, url.clone()));
        let ended = WANTED.scope(Wanted::ToKeep(way.clone()), opening).await;
        if !self.connections.promise(&way) {
            tracing::debug!(org = self.org, ?ended, "no connection could be opened; the call will show why");
            self.connections.could_not_open(&way);
        }
    }
}

fn builder(timeouts: Timeouts) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(concat!("genesys-purge/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .retry(retry::never())
        // Credentials go to the configured hosts and nowhere else.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.call);
    #[cfg(test)]
    let builder = builder.connector_layer(tower::util::MapFutureLayer::new(move |connecting| async move {
        tokio::time::sleep(timeouts.way).await;
        connecting.await
    }));
    builder
}

/// Only a failure to connect proves that nothing was written: hyper begins to write once it is connected.
fn lost(error: reqwest::Error) -> Lost {
    let (not_sent, is_late) = (error.is_connect() || error.is_builder(), error.is_timeout());
    let message = match error.url().filter(|_| error.is_connect()).map(place) {
        Some(place) => match last_cause(&error) {
            // There was nothing to wait for on the way.
            cause if cause == TOO_LATE => cause,
            cause => unreached(&place, &cause),
        },
        None => with_causes(&error.without_url()),
    };
    match (not_sent, is_late) {
        (true, _) => Lost::NotSent(message),
        (false, true) => Lost::Silent(message),
        (false, false) => Lost::Unknown(message),
    }
}
