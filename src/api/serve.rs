//! The server: HTTP/1.1, and HTTP/2 by prior knowledge, on one port.
//!
//! A connection costs one task and a periodic check. The check closes connections whose peer is too slow: in sending a
//! head, between requests, or in reading an answer. Limits for bodies are in `incoming`, for calls in `patience`. If
//! there are nearly as many connections as allowed, one whose peer does not read, else the one that has been idle
//! longest, makes room for the next.
//!
//! Invariant: no peer keeps a connection for longer than [`ConnectionTerms`] say by doing nothing.

mod crowd;
mod lent;
mod pulse;
mod socket;

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, EXPECT};
use axum::http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::stream::Listened;
use super::terms::ConnectionTerms;
use crowd::{Crowd, End, Place};
use lent::Lent;
use pulse::{Overdue, Pulse, Watched};
use socket::Socket;

/// Maximum bytes of a head, and of one read of a body; a longer head is 431.
const LARGEST_HEAD: usize = 64 * 1024;
/// The most header fields of a request.
const MOST_FIELDS: usize = 100;
/// The most bytes of an HTTP/2 header list, unfolded.
const LARGEST_FIELDS: u32 = 64 * 1024;
/// The most requests at once on one HTTP/2 connection: each may leave an answer unread.
const MOST_STREAMS: u32 = 24;
/// An HTTP/2 peer is asked so often whether it lives.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long the farewell may take.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// A connection that was told to close, and does nothing more, is cut after this time.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long accepting pauses after an error that is not of one connection (no file handle is left).
const PAUSE: Duration = Duration::from_secs(1);

/// Serves until the stop; running requests may then finish.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    terms: ConnectionTerms,
    stop: CancellationToken,
) {
    let (connections, server, crowd) = (TaskTracker::new(), server(), Crowd::new(terms));
    while let Some((stream, place)) = stop.run_until_cancelled(accept(&listener, &crowd)).await {
        let served = connection(server.clone(), stream, router.clone(), terms, stop.clone(), place);
        connections.spawn(served);
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    // Its own timeout would also cut idle connections; ours distinguishes the two.
    server.http1().timer(TokioTimer::new()).header_read_timeout(None);
    server.http1().max_buf_size(LARGEST_HEAD).max_headers(MOST_FIELDS);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(LARGEST_FIELDS);
    server
}

/// The next connection, and its place.
async fn accept(listener: &TcpListener, crowd: &Crowd) -> (TcpStream, Place) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY can't be set; small answers may be late");
                }
                return (stream, crowd.enter().await);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; trying again in a moment");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The peer went away before it was accepted; the next one may be well.
fn is_of_one_connection(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection until it ends, is overdue, or the service stops.
async fn connection(
    server: auto::Builder<TokioExecutor>,
    stream: TcpStream,
    router: Router,
    terms: ConnectionTerms,
    stop: CancellationToken,
    mut place: Place,
) {
    let pulse = place.pulse();
    let io = TokioIo::new(Socket::new(stream, Arc::clone(&pulse)));
    let requests = Arc::clone(&pulse);
    let service = service_fn(move |request| answer(router.clone(), Arc::clone(&requests), request));
    let mut served = pin!(server.serve_connection(io, service));
    let (mut closing, mut given_up) = (None::<Instant>, None);
    loop {
        let pause = closing.map_or_else(|| terms.look(), |_| LAST_WORDS);
        tokio::select! {
            ended = &mut served => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                }
                return;
            }
            // Its place is needed. Requests that it has already sent are answered; no more.
            end = place.given_up(), if given_up.is_none() => match end {
                End::Cut => return,
                End::Farewell { .. } => {
                    served.as_mut().graceful_shutdown();
                    (closing, given_up) = (closing.or_else(|| Some(Instant::now())), Some(end));
                }
            },
            // Its place is for requests; those who listen are counted apart.
            () = pulse.listening(), if place.is_kept() => place.leave(),
            // Running requests may finish; no new ones start.
            () = stop.cancelled(), if closing.is_none() => {
                served.as_mut().graceful_shutdown();
                closing = Some(Instant::now());
            }
            () = tokio::time::sleep(pause) => match (pulse.overdue(&terms, Instant::now()), closing) {
                // It takes nothing: a farewell would not be taken either.
                (Some(Overdue::Unread), _) => return,
                // And others wait for its place.
                _ if given_up.is_some() && pulse.is_unread(&terms, Instant::now()) => return,
                // It was told to close, and still works.
                (None, Some(_)) if !pulse.is_quiet() => {}
                (_, Some(since)) if since.elapsed() >= LAST_WORDS => return,
                // It is idle: told to close, it may still send a request that crosses the message.
                (Some(Overdue::Quiet), None) => {
                    served.as_mut().graceful_shutdown();
                    closing = Some(Instant::now());
                }
                _ => {}
            },
        }
    }
}

/// Answers one request; it counts as running until the last byte of its answer was handed over.
async fn answer(
    router: Router,
    pulse: Arc<Pulse>,
    request: Request<Incoming>,
) -> Result<Response<Watched>, Infallible> {
    let version = request.version();
    let under_way = Pulse::begin(pulse, version);
    let has_to_be_asked_for = request.headers().contains_key(EXPECT);
    let (parts, body) = request.into_parts();
    let lent = Lent::new(body);
    let request = Request::from_parts(parts, lent.clone());
    let mut response = TowerToHyperService::new(router).call(request).await?;
    if response.extensions().get::<Listened>().is_some() {
        under_way.listens();
    }
    // Of a body that was not read the rest would be taken for the next request. The client has to know that this was
    // the last one here, before it sends another.
    if version < Version::HTTP_2 && !lent.ends(has_to_be_asked_for).await {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if response.status() == StatusCode::NOT_MODIFIED {
        // Of a body that is not sent; nothing is the length of none.
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    Ok(response.map(|body| Watched::new(body, under_way)))
}
