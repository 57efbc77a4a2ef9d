//! The requests of a connection, one at a time.
//!
//! The HTTP library takes all that a connection has sent, up to 128 kB. It makes requests of it, which have some 10 kB
//! each, and answers one after the other before its thread does anything else: who sends thousands of short requests in
//! a row would stop all others of that thread, and have the memory of the process. So what is sent behind a request waits
//! outside of the library until that is answered.
//!
//! Nothing here reads HTTP. The library gets bytes up to an empty line, which headers and bodies in chunks end with, and
//! then more when it has answered, or when whoever answers asks for more of the body.

#![expect(clippy::disallowed_types, reason = "bytes as such: no extractor is among them, but that of a test")]

use std::cell::{Cell, RefCell};
use std::io::Result;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage, rt};
use futures_core::Stream;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::yield_now;

/// Bytes of headers, or of a body of unknown length, that the library gets at once.
const PART: usize = 4_096;

/// Bytes of a body of known length that it gets at once: as many as it keeps for whoever reads the body.
const BODY_PART: usize = 32_768;

/// What a connection and its requests tell each other; clones are of the same connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    /// A request is being answered.
    is_answering: Cell<bool>,
    /// Bytes that the library may still get.
    allowed: Cell<usize>,
    /// All of these are a body's: it may have empty lines.
    is_body: Cell<bool>,
    /// Wakes the connection, which has bytes that the library may not get yet.
    waiting: RefCell<Option<Waker>>,
    /// The next request was there before the one before it was answered.
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

impl Turns {
    /// A request is there: nothing behind it is read until the turn is dropped, but for what is asked for.
    fn begin(&self) -> Turn {
        self.0.is_answering.set(true);
        self.0.allowed.set(0);
        Turn(self.clone())
    }

    /// Lets the library have so many bytes, all of a body, or up to an empty line.
    fn allow(&self, bytes: usize, is_body: bool) {
        self.0.allowed.set(bytes);
        self.0.is_body.set(is_body);
        let waiting = self.0.waiting.take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

/// The time in which a request is answered, up to the last byte of the answer.
#[derive(Debug)]
struct Turn(Turns);

impl Drop for Turn {
    fn drop(&mut self) {
        let Self(turns) = self;
        turns.0.is_answering.set(false);
        turns.allow(PART, false);
    }
}

/// What a connection has sent, and the library may not have yet.
#[derive(Debug, Default)]
pub(crate) struct Inlet {
    turns: Turns,
    held: Vec<u8>,
    line: Line,
}

impl Inlet {
    /// What its requests need to know of the connection.
    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Reads from `source` what the library may have.
    ///
    /// The end of `source`, and its failure, are told while a request is being answered too.
    pub(crate) fn poll_read(
        &mut self,
        source: Pin<&mut impl AsyncRead>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let Shared { is_answering, allowed, waiting, is_pipelined, .. } = &*self.turns.0;
        let start = buffer.filled().len();
        let was_held = !self.held.is_empty();
        if was_held {
            let fits = self.held.len().min(buffer.remaining());
            let part = self.line.part(&self.held[..fits], &self.turns);
            buffer.put_slice(&self.held[..part]);
            self.held.drain(..part);
            if self.held.is_empty() {
                // Few connections hold something: the others need no memory for it.
                self.held = Vec::new();
            }
        } else {
            ready!(source.poll_read(context, buffer))?;
            let read = &buffer.filled()[start..];
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let part = self.line.part(read, &self.turns);
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
            // Long headers, or a body that nobody wanted: the library goes on when others had their turn.
            allowed.set(PART);
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// Finds empty lines.
#[derive(Debug)]
struct Line {
    /// The line that is being read has nothing yet.
    is_empty: bool,
    /// A line that is not empty was read since the last part.
    is_after_text: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self { is_empty: true, is_after_text: false }
    }
}

impl Line {
    /// How many of these bytes the library may have: up to the first empty line behind one with text, but in a body of
    /// known length.
    fn part(&mut self, bytes: &[u8], turns: &Turns) -> usize {
        let Shared { allowed, is_body, .. } = &*turns.0;
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

/// Answers the requests of a connection one at a time.
///
/// # Errors
/// What lies within.
pub(crate) async fn one_at_a_time(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> std::result::Result<ServiceResponse<Answer>, Error> {
    let turns = request.conn_data::<Turns>().cloned();
    let turn = turns.as_ref().map(Turns::begin);
    if let Some(turns) = turns {
        if turns.0.is_pipelined.take() {
            // Others come first, and those too whom the thread has not looked for yet. In a task of its own it is not cut
            // short by whatever else wakes this one.
            let _ = rt::spawn(yield_now()).await;
        }
        match request.take_payload() {
            Payload::None => {}
            payload => {
                let headers = request.headers();
                let length = headers.get(CONTENT_LENGTH).filter(|_| !headers.contains_key(TRANSFER_ENCODING));
                let left = length.and_then(|text| text.to_str().ok()?.parse().ok());
                request.set_payload(Payload::Stream { payload: Box::pin(Asked { payload, left, turns }) });
            }
        }
    }
    let response = next.call(request).await?.map_into_boxed_body();
    Ok(response.map_body(|_, body| Answer { body, _turn: turn }))
}

/// A body of a request that is read as it is asked for.
struct Asked {
    payload: Payload,
    /// Bytes to come, where they are known.
    left: Option<usize>,
    turns: Turns,
}

impl Stream for Asked {
    type Item = std::result::Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.payload).poll_next(context);
        match &next {
            Poll::Pending => {
                let part = self.left.map_or(PART, |left| left.min(BODY_PART));
                self.turns.allow(part, self.left.is_some());
            }
            Poll::Ready(Some(Ok(bytes))) => {
                self.left = self.left.map(|left| left.saturating_sub(bytes.len()));
            }
            Poll::Ready(_) => {}
        }
        next
    }
}

/// The body of an answer, whose end is that of its turn.
#[derive(Debug)]
pub(crate) struct Answer {
    body: BoxBody,
    _turn: Option<Turn>,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
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
    use crate::patient::Patient;

    /// What a request says of itself in its answer.
    async fn echo(request: HttpRequest, body: web::Bytes) -> String {
        format!("<{} {} {}>", request.method(), request.path(), body.len())
    }

    /// Sends `bytes` at once to a service on one thread, and returns all answers, until it hangs up, and how many requests
    /// at most were taken on between two turns of another task of that thread, which waits until the thread has looked for
    /// what is new.
    fn exchange(bytes: Vec<u8>) -> (String, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut reader = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut writer = reader.try_clone().unwrap();
        let client = std::thread::spawn(move || {
            // Who has heard enough hangs up.
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
                .on_connect_ext(|stream: &Patient, data| {
                    data.insert(stream.turns().clone());
                })
                .h1(map_config(app.into_factory(), |()| AppConfig::default()));
            let http = http.new_service(()).await.unwrap();
            let (stream, peer) = listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            let stream = TcpStream::from_std(stream).unwrap();
            let stream = Patient::new(stream, Duration::from_secs(60), None);
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

    /// What requests have said of themselves.
    fn echoes(replies: &str) -> Vec<&str> {
        replies.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()).collect()
    }

    #[test]
    fn others_have_their_turn_between_two_requests_of_a_connection() {
        let request = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n";
        let last = "GET /z HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let (replies, most) = exchange([request.repeat(3_000), last.repeat(100)].concat().into_bytes());
        let answered = echoes(&replies);
        assert_eq!(answered.len(), 3_001, "nothing is answered behind the last one");
        assert_eq!(answered[3_000], "GET /z 0");
        // One that had just come, and one that was there already.
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
        assert_eq!(echoes(&replies), expected, "the answer to HEAD has no body, and its own length");
        assert_eq!(replies.matches("HTTP/1.1 200 OK").count(), expected.len() + 1);
        assert!(most <= 2, "{most}");
    }
}
