//! Bounds HTTP pipelining: a connection's requests are read and answered one at a time.
//!
//! The HTTP library reads everything that a connection has sent, up to 128 kB. It parses that into requests of some
//! 10 kB each, and answers them all before its thread does anything else. A client that pipelines thousands of short
//! requests would block every other connection of that thread and use up the process's memory. So bytes behind a
//! request are held back from the library until that request is answered.
//!
//! This module does not parse HTTP. The library gets bytes up to an empty line, because headers and chunked bodies end
//! with one. It gets more after it has answered, or when the handler reads more of the body.

use std::cell::{Cell, RefCell};
use std::io::Result;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage, rt};
use futures_core::Stream;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::yield_now;

use crate::held_body::HeldBody;

/// Bytes of headers, or of a body of unknown length, that the library gets at once.
const PART: usize = 4_096;

/// Bytes of a body of known length that the library gets at once. The library buffers as many for the handler.
const BODY_PART: usize = 32_768;

/// The pipelining state that a connection shares with its requests. Clones belong to the same connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pipeline(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    /// A request is being answered.
    is_answering: Cell<bool>,
    /// Bytes that the library may still get.
    allowed: Cell<usize>,
    /// All allowed bytes belong to a body. A body may have empty lines.
    is_body: Cell<bool>,
    /// Wakes the connection's task when held bytes may be read.
    waiting: RefCell<Option<Waker>>,
    /// The next request arrived before the previous one was answered.
    is_pipelined: Cell<bool>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            is_answering: Cell::new(false),
            allowed: Cell::new(PART),
            is_body: Cell::new(false),
            waiting: RefCell::default(),
            is_pipelined: Cell::new(false),
        }
    }
}

impl Pipeline {
    /// Begins a request. Until the returned value is dropped, the library gets only what [`allow`](Self::allow)
    /// permits.
    fn begin(&self) -> ActiveRequest {
        self.0.is_answering.set(true);
        self.0.allowed.set(0);
        ActiveRequest(self.clone())
    }

    /// Lets the library read so many bytes: all of them where they are a body's, else at most up to an empty line.
    fn allow(&self, bytes: usize, is_body: bool) {
        self.0.allowed.set(bytes);
        self.0.is_body.set(is_body);
        let waiting = self.0.waiting.take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

/// A request that is being answered. It ends with the last byte of the response, when this is dropped.
#[derive(Debug)]
pub(crate) struct ActiveRequest(Pipeline);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let Self(pipeline) = self;
        pipeline.0.is_answering.set(false);
        pipeline.allow(PART, false);
    }
}

/// Reads a connection, and holds back what the library may not have yet.
#[derive(Debug, Default)]
pub(crate) struct PipelineReader {
    pipeline: Pipeline,
    held: Vec<u8>,
    line: EmptyLine,
}

impl PipelineReader {
    /// The state that the connection's requests need.
    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Reads from `source` what the library may have.
    ///
    /// The end of `source` and its errors are reported at once, even while a request is being answered.
    pub(crate) fn poll_read(
        &mut self,
        source: Pin<&mut impl AsyncRead>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let Shared { is_answering, allowed, waiting, is_pipelined, .. } = &*self.pipeline.0;
        let start = buffer.filled().len();
        let was_held = !self.held.is_empty();
        if was_held {
            let fits = self.held.len().min(buffer.remaining());
            let part = self.line.part(&self.held[..fits], &self.pipeline);
            buffer.put_slice(&self.held[..part]);
            self.held.drain(..part);
            if self.held.is_empty() {
                // Few connections hold bytes back. The others keep no buffer.
                self.held = Vec::new();
            }
        } else {
            ready!(source.poll_read(context, buffer))?;
            let read = &buffer.filled()[start..];
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let part = self.line.part(read, &self.pipeline);
            self.held.extend_from_slice(&read[part..]);
            buffer.set_filled(start + part);
        }
        if buffer.filled().len() > start {
            if !is_answering.get() {
                is_pipelined.set(was_held);
            }
            return Poll::Ready(Ok(()));
        }
        if is_answering.get() {
            waiting.replace(Some(context.waker().clone()));
        } else {
            // Long headers, or a body that no handler reads: the library goes on after other tasks have run.
            allowed.set(PART);
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// Finds empty lines.
#[derive(Debug)]
struct EmptyLine {
    /// The current line has no characters yet.
    is_empty: bool,
    /// A line with text was read since the last empty line.
    is_after_text: bool,
}

impl Default for EmptyLine {
    fn default() -> Self {
        Self { is_empty: true, is_after_text: false }
    }
}

impl EmptyLine {
    /// Returns how many of these bytes the library may have: up to the first empty line after a line with text. A body
    /// of known length is not searched for empty lines.
    fn part(&mut self, bytes: &[u8], pipeline: &Pipeline) -> usize {
        let Shared { allowed, is_body, .. } = &*pipeline.0;
        let read = if is_body.get() { 0 } else { allowed.get() };
        for (n, byte) in bytes.iter().take(read).enumerate() {
            match byte {
                b'\r' => {}
                b'\n' if self.is_empty && self.is_after_text => {
                    *self = Self::default();
                    allowed.set(0);
                    return n + 1;
                }
                b'\n' => self.is_empty = true,
                _ => *self = Self { is_empty: false, is_after_text: true },
            }
        }
        let part = bytes.len().min(allowed.get());
        allowed.set(allowed.get() - part);
        part
    }
}

/// Middleware that answers the requests of a connection one at a time.
///
/// # Errors
/// Those of the inner service.
pub(crate) async fn one_at_a_time(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> std::result::Result<ServiceResponse<HeldBody<Option<ActiveRequest>>>, Error> {
    let pipeline = request.conn_data::<Pipeline>().cloned();
    let active = pipeline.as_ref().map(Pipeline::begin);
    if let Some(pipeline) = pipeline {
        if pipeline.0.is_pipelined.take() {
            // Other connections come first, including those whose events the thread has not polled yet. The yield runs
            // in a task of its own, so that other wake-ups of this task do not cut it short.
            let _ = rt::spawn(yield_now()).await;
        }
        match request.take_payload() {
            Payload::None => {}
            payload => {
                let headers = request.headers();
                let length = headers.get(CONTENT_LENGTH).filter(|_| !headers.contains_key(TRANSFER_ENCODING));
                let left = length.and_then(|text| text.to_str().ok()?.parse().ok());
                request.set_payload(Payload::Stream {
                    payload: Box::pin(PacedBody { payload, left, pipeline }),
                });
            }
        }
    }
    let response = next.call(request).await?.map_into_boxed_body();
    Ok(response.map_body(|_, body| HeldBody::new(body, active)))
}

/// A request's body, read from the connection only as fast as the handler reads it.
struct PacedBody {
    payload: Payload,
    /// Bytes still to come, if the length is known.
    left: Option<usize>,
    pipeline: Pipeline,
}

impl Stream for PacedBody {
    type Item = std::result::Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.payload).poll_next(context);
        match &next {
            Poll::Pending => {
                let part = self.left.map_or(PART, |left| left.min(BODY_PART));
                self.pipeline.allow(part, self.left.is_some());
            }
            Poll::Ready(Some(Ok(bytes))) => {
                self.left = self.left.map(|left| left.saturating_sub(bytes.len()));
            }
            Poll::Ready(_) => {}
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::rc::Rc;
    use std::time::Duration;

    use actix_http::HttpService;
    use actix_service::{IntoServiceFactory, Service, ServiceFactory, map_config};
    use actix_web::dev::AppConfig;
    use actix_web::middleware::from_fn;
    use actix_web::rt::net::TcpStream;
    use actix_web::{App, HttpRequest, rt, web};
    use pretty_assertions::assert_eq;

    use super::{one_at_a_time, yield_now};
    use crate::connection::TimedStream;
    use crate::metrics::Writes;

    /// Answers with the request's method, path and body length.
    async fn echo(request: HttpRequest, body: web::Bytes) -> String {
        format!("<{} {} {}>", request.method(), request.path(), body.len())
    }

    /// Sends `bytes` at once to a service on one thread. Returns all responses until the service hangs up, and how many
    /// requests at most began between two runs of another task of that thread. That task yields until the thread has
    /// polled for new events.
    fn exchange(bytes: Vec<u8>) -> (String, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut reader = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut writer = reader.try_clone().unwrap();
        let client = std::thread::spawn(move || {
            // The service may hang up before it has read everything.
            let writing = std::thread::spawn(move || writer.write_all(&bytes));
            let mut reply = Vec::new();
            let _ = reader.read_to_end(&mut reply);
            let _ = writing.join();
            String::from_utf8(reply).unwrap()
        });
        let most = rt::System::new().block_on(async move {
            let taken = Rc::new(Cell::new(0));
            let counter = taken.clone();
            let app = App::new()
                .app_data(web::PayloadConfig::new(1 << 20))
                .default_service(web::to(echo))
                .wrap_fn(move |request, service| {
                    counter.set(counter.get() + 1);
                    service.call(request)
                })
                .wrap(from_fn(one_at_a_time));
            let http = HttpService::build()
                .client_disconnect_timeout(Duration::from_secs(1))
                .on_connect_ext(|stream: &TimedStream, data| {
                    data.insert(stream.pipeline().clone());
                })
                .h1(map_config(app.into_factory(), |()| AppConfig::default()));
            let http = http.new_service(()).await.unwrap();
            let (stream, peer) = listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            let stream = TcpStream::from_std(stream).unwrap();
            let stream = TimedStream::new(stream, Duration::from_secs(60), None, Writes::default());
            let served = rt::spawn(http.call((stream, Some(peer))));
            let observer = rt::spawn(async move {
                let mut most = 0;
                while !served.is_finished() {
                    let before = taken.get();
                    yield_now().await;
                    most = most.max(taken.get() - before);
                }
                most
            });
            observer.await.unwrap()
        });
        (client.join().unwrap(), most)
    }

    /// The echoes in the responses.
    fn echoes(replies: &str) -> Vec<&str> {
        replies.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()).collect()
    }

    #[test]
    fn other_tasks_run_between_two_requests_of_a_connection() {
        let request = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n";
        let last = "GET /z HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        // One request after the last, and not more: input that the service has not read when it closes the connection
        // makes the kernel reset it, and responses on their way are lost.
        let (replies, most) = exchange([request.repeat(3_000), last.repeat(2)].concat().into_bytes());
        let answered = echoes(&replies);
        assert_eq!(answered.len(), 3_001, "nothing is answered after `connection: close`");
        assert_eq!(answered[3_000], "GET /z 0");
        // One that had just arrived, and one that was held back.
        assert!(most <= 2, "{most}");
    }

    #[test]
    fn requests_with_bodies_are_answered_in_their_order() {
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let post = |path: &str, body: &str| {
            let length = body.len();
            format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}")
        };
        let chunked = |path: &str, chunks: &[&str]| {
            let chunks: Vec<_> =
                chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
            let chunks = chunks.concat();
            format!("POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
        };
        let lines = "a\n\nb\r\n\r\n\n\n".repeat(10_000);
        let long_headers = format!("GET /long HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(60_000));
        let (replies, most) = exchange(
            [
                post("/short", "x"),
                get("/1"),
                post("/none", ""),
                post("/lines", &lines),
                get("/2"),
                "\r\n\r\n".to_owned(),
                get("/3"),
                chunked("/chunks", &["x", "\r\n\r\n", &lines, &"x".repeat(100_000)]),
                get("/4"),
                long_headers,
                "HEAD /5 HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
                get("/6"),
                "GET /7 HTTP/1.1\nhost: a\n\n".to_owned(),
                "POST /8 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}".to_owned(),
            ]
            .concat()
            .into_bytes(),
        );
        let expected = [
            "POST /short 1",
            "GET /1 0",
            "POST /none 0",
            "POST /lines 100000",
            "GET /2 0",
            "GET /3 0",
            "POST /chunks 200005",
            "GET /4 0",
            "GET /long 0",
            "GET /6 0",
            "GET /7 0",
            "POST /8 2",
        ];
        assert_eq!(echoes(&replies), expected, "the response to HEAD has no body");
        assert_eq!(replies.matches("HTTP/1.1 200 OK").count(), expected.len() + 1);
        assert!(most <= 2, "{most}");
    }
}
