//! A caller's connection, which ends when it has taken no answer for too long.
//!
//! The HTTP library times the headers of a connection's first request, and connections between requests. That leaves
//! callers who send the headers of a later request byte by byte, go on with a body after they were refused, or do not
//! read their answers: each would have a connection for ever.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use actix_web::rt::time::{Instant, Sleep, sleep};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::addresses::Place;
use crate::turns::{Inlet, Turns};

/// A stream that fails when nothing could be written to it for some time.
#[derive(Debug)]
pub(crate) struct Patient {
    stream: TcpStream,
    inlet: Inlet,
    patience: Duration,
    end: Pin<Box<Sleep>>,
    /// Whether the caller has closed their side.
    is_closed: watch::Sender<bool>,
    /// Given back with the connection.
    _place: Option<Place>,
}

/// Tells when the caller of a connection has closed their side of it.
///
/// Somebody who has hung up looks just like somebody who will not send anything more: both must be served, unless that
/// is too dear for an answer that hardly anybody will read.
#[derive(Debug, Clone)]
pub(crate) struct HangUp(watch::Receiver<bool>);

impl HangUp {
    /// Waits until it happens.
    pub(crate) async fn happens(mut self) {
        // Where the sender is gone, so is the connection.
        let _ = self.0.wait_for(|is_closed| *is_closed).await;
    }
}

impl Patient {
    /// Waits for `patience`, from now on and from each part of an answer on.
    pub(crate) fn new(stream: TcpStream, patience: Duration, place: Option<Place>) -> Self {
        let (end, is_closed) = (Box::pin(sleep(patience)), watch::Sender::new(false));
        Self { stream, inlet: Inlet::default(), patience, end, is_closed, _place: place }
    }

    /// What its requests need to know of the connection.
    pub(crate) fn turns(&self) -> &Turns {
        self.inlet.turns()
    }

    /// Tells when the caller hangs up.
    pub(crate) fn hang_up(&self) -> HangUp {
        HangUp(self.is_closed.subscribe())
    }

    /// Fails when the time is over, and has the task look again when it is.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(Error::new(ErrorKind::TimedOut, "no answer was taken for too long")),
            Poll::Pending => Ok(()),
        }
    }

    /// Begins to wait anew where something was written.
    fn written(&mut self, outcome: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if matches!(outcome, Poll::Ready(Ok(1..))) {
            self.end.as_mut().reset(Instant::now() + self.patience);
        }
        outcome
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        self.poll_end(context)?;
        let before = buffer.filled().len();
        let Self { stream, inlet, is_closed, .. } = &mut *self;
        let outcome = inlet.poll_read(Pin::new(stream), context, buffer);
        if matches!(outcome, Poll::Ready(Ok(()))) && buffer.filled().len() == before {
            is_closed.send_replace(true);
        }
        outcome
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.poll_end(context)?;
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.poll_end(context)?;
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.written(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
