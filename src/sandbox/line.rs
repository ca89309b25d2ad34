//! Connections that can be cut from inside: how a call ends in a reset instead of an answer.
//!
//! axum gives handlers no hold on their connection, so the listener hands out streams that watch a token each: once
//! it is cancelled every read and write fails, hyper drops the stream, and the kernel sends a reset.
//!
//! Invariant: a line, once cut, never carries another byte.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What a handler holds of its connection.
#[derive(Debug, Clone)]
pub(super) struct Line {
    cut: CancellationToken,
    closing: CancellationToken,
}

impl Line {
    /// Resets the connection, as soon as hyper looks at it.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }

    /// Ends when the connection is gone, whoever ended it.
    pub(super) async fn gone(&self) {
        self.cut.cancelled().await;
    }

    /// Ends when the server is told to stop.
    pub(super) async fn closing(&self) {
        self.closing.cancelled().await;
    }
}

impl Connected<IncomingStream<'_, Lines>> for Line {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.io().line.clone()
    }
}

/// A TCP listener whose connections can be cut.
#[derive(Debug)]
pub(super) struct Lines {
    listener: TcpListener,
    all: CancellationToken,
    closing: CancellationToken,
}

impl Lines {
    /// Cancelling `all` cuts every connection; `closing` is what waiting handlers watch.
    pub(super) fn new(listener: TcpListener, all: CancellationToken, closing: CancellationToken) -> Self {
        Self { listener, all, closing }
    }
}

impl Listener for Lines {
    type Io = LineStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (LineStream, SocketAddr) {
        let (stream, from) = Listener::accept(&mut self.listener).await;
        // Answers are small and written at once; without this a caller waits 40 ms for some of them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        let cut = self.all.child_token();
        let watch = Box::pin(cut.clone().cancelled_owned());
        (LineStream { stream, watch, line: Line { cut, closing: self.closing.clone() } }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails from the moment that its line is cut.
#[derive(Debug)]
pub(super) struct LineStream {
    stream: TcpStream,
    watch: Pin<Box<WaitForCancellationFutureOwned>>,
    line: Line,
}

impl LineStream {
    /// Fails once the line is cut; registers the task to be woken when it is.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.watch.as_mut().poll(context).is_ready() {
            // Without lingering a close is a reset: the caller sees an error, never an empty answer.
            self.stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Drop for LineStream {
    /// Lets handlers that wait for the end of the connection go.
    fn drop(&mut self) {
        self.line.cut.cancel();
    }
}

impl AsyncRead for LineStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for LineStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
