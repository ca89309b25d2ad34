//! The body of a request, lent to its handler: the rest that was not read decides whether the connection can take
//! another request.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// How much of an unread body is discarded to keep the connection.
const LITTLE: u64 = 64 * 1024;
/// It must be there already, or nearly so.
const SOON: Duration = Duration::from_millis(50);

/// The body. Its copies are one and the same.
#[derive(Debug, Clone)]
pub(super) struct Lent(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    body: Incoming,
    /// It was read to its end.
    has_ended: bool,
}

impl Lent {
    pub(super) fn new(body: Incoming) -> Self {
        let has_ended = body.is_end_stream();
        Self(Arc::new(Mutex::new(State { body, has_ended })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the body ends here, counting a small rest. An `awaited` body was never requested from the client, so it
    /// will not come.
    pub(super) async fn ends(mut self, awaited: bool) -> bool {
        if self.state().has_ended {
            return true;
        }
        if awaited || self.size_hint().lower() > LITTLE {
            return false;
        }
        let rest = async {
            let mut read = 0;
            while let Some(Ok(frame)) = self.frame().await {
                read += frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
                if read > LITTLE {
                    break;
                }
            }
            self.state().has_ended
        };
        tokio::time::timeout(SOON, rest).await.unwrap_or(false)
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut state = self.state();
        let frame = ready!(Pin::new(&mut state.body).poll_frame(context));
        state.has_ended = frame.is_none() || state.body.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.state().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.state().body.size_hint()
    }
}
