//! A client's connection: what is written leaves at once, and a client that does not read is not waited for forever.
//!
//! Both listeners serve only this kind of stream, so the settings of a socket are made in one place.
//!
//! The HTTP library limits the time of a connection's first headers and the time between requests. Three kinds of
//! clients would still keep a connection forever: those that send the headers of a later request byte by byte, those
//! that go on with a body after they were refused, and those that do not read their responses.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use actix_web::rt::time::{Instant, Sleep, sleep};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::address_limit::AddressSlot;
use crate::metrics::Writes;
use crate::pipelining::{Pipeline, PipelineReader};

/// A TCP stream that fails with a timeout when nothing could be written to it for some time.
#[derive(Debug)]
pub(crate) struct TimedStream {
    stream: TcpStream,
    reader: PipelineReader,
    write_timeout: Duration,
    end: Pin<Box<Sleep>>,
    /// Whether the client has closed its side.
    is_closed: watch::Sender<bool>,
    writes: Writes,
    /// Released with the connection.
    _slot: Option<AddressSlot>,
}

/// Tells when the client has closed its side of a connection.
///
/// A client that has hung up looks just like one that only sends nothing more. Both are served, except where the work
/// is too expensive for a response that hardly anybody will read.
#[derive(Debug, Clone)]
pub(crate) struct Disconnect(watch::Receiver<bool>);

impl Disconnect {
    /// Waits until the client has closed its side.
    pub(crate) async fn closed(mut self) {
        // Where the sender is gone, so is the connection.
        let _ = self.0.wait_for(|is_closed| *is_closed).await;
    }
}

impl TimedStream {
    /// Wraps `stream`. The timeout runs from now, and anew from each successful write.
    pub(crate) fn new(
        stream: TcpStream,
        write_timeout: Duration,
        slot: Option<AddressSlot>,
        writes: Writes,
    ) -> Self {
        // Without this the last part of a long response, and the second of two responses, wait until the client has
        // acknowledged what was sent before. Many clients delay that by 40 ms. It fails only where the connection is
        // broken, which the first read tells.
        let _ = stream.set_nodelay(true);
        let (end, is_closed) = (Box::pin(sleep(write_timeout)), watch::Sender::new(false));
        let reader = PipelineReader::default();
        Self { stream, reader, write_timeout, end, is_closed, writes, _slot: slot }
    }

    /// The pipelining state that the connection's requests need.
    pub(crate) fn pipeline(&self) -> &Pipeline {
        self.reader.pipeline()
    }

    /// Tells when the client closes its side.
    pub(crate) fn disconnect(&self) -> Disconnect {
        Disconnect(self.is_closed.subscribe())
    }

    /// Fails when the time is over. Before that, it has the task woken at that time.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => {
                Err(Error::new(ErrorKind::TimedOut, "no part of a response could be written for too long"))
            }
            Poll::Pending => Ok(()),
        }
    }

    /// Restarts the timeout where something was written.
    fn written(&mut self, outcome: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if matches!(outcome, Poll::Ready(Ok(1..))) {
            self.end.as_mut().reset(Instant::now() + self.write_timeout);
        }
        outcome
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        self.poll_end(context)?;
        let before = buffer.filled().len();
        let Self { stream, reader, is_closed, .. } = &mut *self;
        let outcome = reader.poll_read(Pin::new(stream), context, buffer);
        if matches!(outcome, Poll::Ready(Ok(()))) && buffer.filled().len() == before {
            is_closed.send_replace(true);
        }
        outcome
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.poll_end(context)?;
        self.writes.count();
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.poll_end(context)?;
        self.writes.count();
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
