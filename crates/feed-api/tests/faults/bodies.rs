//! Bodies that inflate, that hardly arrive, and that are too many: what they cost, and what others notice of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use feed_api::extract::BODY_LIMIT;
use feed_core::testing::TestDatabase;
use feed_test::binary::Running;
use pretty_assertions::assert_eq;

use crate::client::Client;
use crate::process::peak_memory;
use crate::report::Report;
use crate::{ENGINES, serve};

/// Bytes that each bomb inflates to.
const INFLATED: usize = 24 * 1024 * 1024;

/// Each coding, and some bytes that inflate to many by it.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let spaces = vec![b' '; INFLATED];
    let (mut gzip, mut brotli) = (Vec::new(), Vec::new());
    flate2::read::GzEncoder::new(&spaces[..], flate2::Compression::best()).read_to_end(&mut gzip).unwrap();
    brotli::CompressorReader::new(&spaces[..], 4_096, 5, 22).read_to_end(&mut brotli).unwrap();
    let bombs = vec![("gzip", gzip), ("br", brotli), ("zstd", zstd::bulk::compress(&spaces, 3).unwrap())];
    assert!(bombs.iter().all(|(_, bomb)| bomb.len() < BODY_LIMIT));
    bombs
}

/// Every route that takes a body, and some that take none.
const ROUTES: [(&str, &str); 11] = [
    ("POST", "/api/auth/register/"),
    ("POST", "/api/auth/login/"),
    ("POST", "/api/favorites/"),
    ("POST", "/api/follows/"),
    ("POST", "/api/flyers/"),
    ("PATCH", "/api/flyers/1/"),
    ("PATCH", "/api/users/me/"),
    ("GET", "/api/feed/"),
    ("DELETE", "/api/favorites/1/"),
    ("GET", "/healthz"),
    ("POST", "/nothing/"),
];

/// Sends a request without its body, and `body` behind it.
fn post(address: &str, (method, path): (&str, &str), headers: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{headers}\r\n\r\n");
    // Who is refused may be cut off before all is sent.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    stream
}

/// What comes back until the service hangs up.
fn reply(mut stream: TcpStream) -> String {
    let (mut reply, _) = (Vec::new(), stream.shutdown(Shutdown::Write));
    let _ = stream.read_to_end(&mut reply);
    String::from_utf8_lossy(&reply).into_owned()
}

#[test]
fn bodies_that_inflate_are_refused_unread() {
    let bombs = bombs();
    for engine in ENGINES {
        let mut report = Report::of("bodies that inflate", engine);
        let test = TestDatabase::new(engine);
        let server = Running::start(&mut serve(&test.url, &[]));
        let client = Client::register(&server.address);
        let before = peak_memory(&server.child);
        let mut sent = 0;
        for route in ROUTES {
            for (coding, bomb) in &bombs {
                for length in
                    [format!("content-length: {}", bomb.len()), "transfer-encoding: chunked".to_owned()]
                {
                    let token = format!("authorization: Bearer {}", client.token());
                    let headers = format!("{token}\r\ncontent-encoding: {coding}\r\n{length}");
                    let chunk = [format!("{:x}\r\n", bomb.len()).as_bytes(), bomb, b"\r\n0\r\n\r\n"].concat();
                    let body = if length.starts_with("content") { bomb } else { &chunk };
                    let reply = reply(post(&server.address, route, &headers, body));
                    assert!(reply.starts_with("HTTP/1.1 415 "), "{route:?} {headers}: {reply}");
                    assert!(reply.contains("accept-encoding: identity\r\n"), "{reply}");
                    sent += 1;
                }
            }
        }
        let growth = peak_memory(&server.child).saturating_sub(before) / 1_024;
        assert!(growth < 8, "{growth} MiB more at the most");
        assert!(client.feed() && client.publish().is_some());
        report.tell(sent, 0, format!("all 415; {growth} MiB more at the most"));
    }
}

/// A body of which all is there but its end: the service waits for that.
fn unfinished(server: &Running, client: &Client, sent: usize) -> TcpStream {
    let headers = format!("authorization: Bearer {}\r\ncontent-length: {LENGTH}", client.token());
    post(&server.address, ("POST", "/api/flyers/"), &headers, &vec![b' '; sent])
}

const LENGTH: usize = 100_000;

/// The status of each request that has an answer already; the others still wait.
fn answered(streams: &mut [TcpStream]) -> Vec<u16> {
    let status = |stream: &mut TcpStream| {
        let mut part = [0; 12];
        stream.set_nonblocking(true).unwrap();
        match stream.peek(&mut part) {
            Ok(12) => Some(String::from_utf8_lossy(&part[9..]).parse().unwrap()),
            Ok(_) => panic!("hung up on"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    };
    streams.iter_mut().filter_map(status).collect()
}

/// Waits until all but so many requests have an answer, asserts that it is one of these, and tells how many wait.
#[track_caller]
fn all_refused_but(most: usize, streams: &mut [TcpStream], statuses: &[u16]) -> usize {
    let mut answers = answered(streams);
    let end = Instant::now() + Duration::from_secs(60);
    while answers.len() + most < streams.len() {
        assert!(Instant::now() < end, "{} are answered", answers.len());
        std::thread::sleep(Duration::from_millis(20));
        answers = answered(streams);
    }
    assert!(answers.iter().all(|status| statuses.contains(status)), "{answers:?}");
    streams.len() - answers.len()
}

/// Asserts that others notice nothing.
#[track_caller]
fn others_are_served(server: &Running) {
    let other = Client::register(&server.address);
    for _ in 0..5 {
        assert!(other.feed() && other.publish().is_some());
    }
    assert_eq!((other.status("/healthz"), other.status("/readyz")), (200, 200));
}

/// Nobody's patience ends in a test.
const PATIENT: [&str; 2] = ["--receive-timeout", "3600000"];

#[test]
fn bodies_that_hardly_arrive_are_nobody_elses_outage() {
    for engine in ENGINES {
        let mut report = Report::of("1,024 slow bodies of one account", engine);
        let test = TestDatabase::new(engine);
        let server = Running::start(&mut serve(&test.url, &PATIENT));
        let slow = Client::register(&server.address);
        let mut streams: Vec<_> = (0..1_024).map(|_| unfinished(&server, &slow, 1)).collect();
        // As many as one caller may have under way wait for their bodies.
        assert_eq!(all_refused_but(256, &mut streams, &[429]), 256);
        others_are_served(&server);
        assert_eq!(slow.status("/api/feed/"), 429);
        drop(streams);
        slow.is_back_within(60);
        report.tell(1_024, 0, "768 times 429, the rest waits; others are served");
    }
}

#[test]
fn bodies_that_hardly_arrive_of_many_accounts_are_nobody_elses_outage() {
    for engine in ENGINES {
        let mut report = Report::of("1,024 slow bodies of 8 accounts", engine);
        let test = TestDatabase::new(engine);
        let server = Running::start(&mut serve(&test.url, &[&PATIENT[..], &["--body-memory", "8"]].concat()));
        let slow: Vec<_> = (0..8).map(|_| Client::register(&server.address)).collect();
        let waits = |sent| -> Vec<_> {
            (0..128).flat_map(|_| &slow).map(|caller| unfinished(&server, caller, sent)).collect()
        };
        let mut streams = waits(1);
        others_are_served(&server);
        assert_eq!(answered(&mut streams), [0; 0], "they all wait");
        drop(streams);

        // All but their last byte: 8 MiB of that have room, and short bodies always.
        for caller in &slow {
            caller.is_back_within(60);
        }
        let before = peak_memory(&server.child);
        let mut streams = waits(LENGTH - 1);
        // 503 where all of them have no room left, 429 where one of them has a quarter of it.
        let fit = all_refused_but(8 * 1_024 * 1_024 / (LENGTH - 1 - 4_096), &mut streams, &[503, 429]);
        assert!(fit > 40, "{fit} have room");
        others_are_served(&server);
        let growth = peak_memory(&server.child).saturating_sub(before) / 1_024;
        drop(streams);
        for caller in &slow {
            caller.is_back_within(60);
        }
        report.tell(2_048, 0, format!("{fit} have room; others are served; {growth} MiB more at the most"));
    }
}
