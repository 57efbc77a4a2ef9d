//! Malformed requests by the thousand, from a fixed seed.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use feed_core::testing::TestDatabase;
use feed_test::binary::Running;
use pretty_assertions::assert_eq;

use crate::client::Client;
use crate::fuzzer::Fuzzer;
use crate::process::memory;
use crate::report::Report;
use crate::{ENGINES, serve};

const SEED: u64 = 1;
const REQUESTS: usize = 20_000;
/// As many until the service has all the memory that it needs.
const WARM_UP: usize = 5_000;
const SENDERS: usize = 4;

/// KiB that the service may have more after all requests than after the first ones: some are right, and what they
/// publish is in the cache of each connection to an embedded file. A leak of 1 KiB a request would be more.
const GROWTH: u64 = 14 * 1_024;

/// What is in no answer: words of the inside.
const INSIDE: [&str; 16] = [
    "SQLite",
    "SQLSTATE",
    "sqlite",
    "postgres",
    "diesel",
    "SELECT ",
    "INSERT ",
    "no such table",
    "violates",
    "panicked",
    "backtrace",
    "thread '",
    "src/",
    ".rs:",
    "/tmp/",
    "/home/",
];

/// What came of requests, by the first digit of their statuses; 0 is for no answer.
type Answers = BTreeMap<u16, usize>;

/// Sends requests, and looks at the answers.
struct Sender<'a> {
    address: &'a str,
    fuzzer: Fuzzer,
    kept: Option<TcpStream>,
    answers: Answers,
}

impl Sender<'_> {
    fn send(&mut self, requests: usize) {
        for _ in 0..requests {
            let mut request = self.fuzzer.request();
            let bytes;
            let reply = if self.fuzzer.garbles_bytes() {
                bytes = self.fuzzer.garble_bytes(&mut request);
                self.last(&bytes)
            } else {
                bytes = request.bytes();
                self.next(&bytes)
            };
            self.judge(&bytes, &reply);
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        // The end of patience with a service that does not answer, far beyond all that is promised.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends the last request of a connection of its own, and reads until the service hangs up too.
    fn last(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        // Who has heard enough may hang up first.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut reply = Vec::new();
        if let Err(error) = stream.read_to_end(&mut reply) {
            assert!(error.kind() != ErrorKind::WouldBlock, "no end of {}", bytes.escape_ascii());
        }
        reply
    }

    /// Sends a request on a connection that stays open, and reads its answer.
    fn next(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.kept.take().unwrap_or_else(|| self.connect());
        let _ = stream.write_all(bytes);
        let (mut reply, mut part) = (Vec::new(), [0; 16_384]);
        loop {
            match stream.read(&mut part) {
                Ok(0) => return reply,
                Ok(read) => reply.extend(&part[..read]),
                Err(error) => {
                    assert!(error.kind() != ErrorKind::WouldBlock, "no answer to {}", bytes.escape_ascii());
                    return reply;
                }
            }
            let text = String::from_utf8_lossy(&reply);
            let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().unwrap());
            if reply.len() >= head.len() + 4 + length {
                if !head.contains("connection: close") {
                    self.kept = Some(stream);
                }
                return reply;
            }
        }
    }

    /// Counts an answer, and asserts that it is one that a malformed request may have.
    fn judge(&mut self, request: &[u8], reply: &[u8]) {
        let text = String::from_utf8_lossy(reply);
        let status: u16 = text.get(9..12).map_or(0, |status| status.parse().unwrap());
        *self.answers.entry(status / 100).or_default() += 1;
        let is_told = INSIDE.iter().find(|word| text.contains(**word));
        assert!(
            status < 500 && !text.contains("HTTP/1.1 5") && is_told.is_none(),
            "{is_told:?}\n{text}\nis the answer to\n{}",
            request.escape_ascii()
        );
    }
}

#[test]
fn malformed_requests_are_refused_and_leave_nothing_behind() {
    for engine in ENGINES {
        let mut report = Report::of("malformed requests", engine);
        let test = TestDatabase::new(engine);
        // A machine that has much else to do is no reason to refuse. Few connections, since each has a cache.
        let limits = [
            ["--connection-timeout", "60000"],
            ["--statement-timeout", "60000"],
            ["--request-timeout", "600000"],
            ["--database-connections", "2"],
        ];
        let server = Running::start(&mut serve(&test.url, limits.as_flattened()));
        let client = Client::register(&server.address);
        for _ in 0..5 {
            client.publish().unwrap();
        }
        let cursor = client.cursor();
        let mut senders: Vec<_> = (0..SENDERS as u64)
            .map(|n| Sender {
                address: &server.address,
                fuzzer: Fuzzer::new(SEED + n, client.token(), &cursor),
                kept: None,
                answers: Answers::new(),
            })
            .collect();
        let mut send = |requests: usize| {
            std::thread::scope(|scope| {
                for sender in &mut senders {
                    scope.spawn(|| sender.send(requests / SENDERS));
                }
            });
        };
        send(WARM_UP);
        let before = memory(&server.child);
        send(REQUESTS - WARM_UP);
        let growth = memory(&server.child).saturating_sub(before);
        // Hashes of passwords keep their memory, 19 MiB for each that was ever made at once with others.
        let hashes =
            std::thread::available_parallelism().map_or(0, |cores| cores.get() as u64 - 1) * 20 * 1_024;
        assert!(growth < GROWTH + hashes, "{growth} KiB more");
        assert_eq!(client.status("/healthz"), 200);
        client.is_back_within(5);
        assert!(client.publish().is_some());
        let mut answers = Answers::new();
        for (status, number) in senders.iter().flat_map(|sender| &sender.answers) {
            *answers.entry(*status).or_default() += number;
        }
        let of = |class| answers.get(&class).copied().unwrap_or_default();
        let (fine, refused, none) = (of(2) + of(3), of(4), of(0));
        assert!(fine > REQUESTS / 20 && refused > REQUESTS / 4, "the requests test something: {answers:?}");
        report.tell(
            REQUESTS,
            fine,
            format!("{refused} times 4xx, {none} hung up on; 5xx never; {growth} KiB more"),
        );
    }
}
