//! Callers who take connections and no answers: idle ones in thousands, and ones who never come to their point.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use feed_core::testing::TestDatabase;
use feed_test::SECRET;
use feed_test::binary::Running;
use pretty_assertions::assert_eq;

use crate::client::Client;
use crate::feed_api;
use crate::process::{memory, open_files, raise_open_files};
use crate::report::Report;
use crate::{ENGINES, after, serve};

/// Connections that do nothing.
const IDLE: usize = 10_000;

/// A request that leaves its connection open.
const ASK: &str = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";

/// Sends a request and reads its answer, which ends so.
fn ask(stream: &mut TcpStream) {
    stream.write_all(ASK.as_bytes()).unwrap();
    let (mut reply, mut part) = (Vec::new(), [0; 1_024]);
    while !reply.ends_with(b"{\"status\":\"ok\"}") {
        match stream.read(&mut part).unwrap() {
            0 => panic!("{}", String::from_utf8_lossy(&reply)),
            read => reply.extend(&part[..read]),
        }
    }
}

#[test]
fn ten_thousand_idle_connections_cost_some_memory_and_nothing_else() {
    // This process has one end of each, the service the other.
    let granted = raise_open_files().saturating_sub(500);
    let wanted = IDLE.min(granted);
    let fewer = if granted < IDLE { ", as many as files may be open" } else { "" };
    for engine in ENGINES {
        let mut report = Report::of("10,000 idle connections", engine);
        let test = TestDatabase::new(engine);
        let patience = ["--receive-timeout", "3600000", "--keep-alive", "3600", "--max-connections", "20000"];
        // As most systems start a process: it is granted more, but has to ask.
        let server = Running::start(&mut after("ulimit -Sn 1024; exec", &serve(&test.url, &patience)));
        let client = Client::register(&server.address);
        client.publish().unwrap();
        let served = || {
            assert!(client.feed());
            assert_eq!(client.status("/healthz"), 200);
        };
        served();
        let (files, before) = (open_files(&server.child), memory(&server.child));
        let mut idle = Vec::with_capacity(wanted);
        for n in 0..wanted {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            // Some have never asked for anything, and some keep their connection for later.
            if n % 2 == 0 {
                ask(&mut stream);
            }
            idle.push(stream);
            if n % 500 == 0 {
                served();
            }
        }
        while open_files(&server.child) < files + wanted {
            std::thread::yield_now();
        }
        for _ in 0..20 {
            served();
        }
        assert!(client.publish().is_some());
        let each = memory(&server.child).saturating_sub(before) / wanted as u64;
        assert!(each < 64, "{each} KiB a connection");
        for stream in idle.iter_mut().step_by(100) {
            stream.set_nonblocking(true).unwrap();
            let waits = stream.read(&mut [0]).unwrap_err();
            assert_eq!(waits.kind(), ErrorKind::WouldBlock, "nobody was thrown out");
        }
        drop(idle);
        while open_files(&server.child) > files + 16 {
            std::thread::sleep(Duration::from_millis(20));
        }
        served();
        report.tell(wanted, wanted, format!("{each} KiB each{fewer}; others are served; all given back"));
    }
}

#[test]
fn a_house_full_of_idle_callers_is_empty_again_after_their_time() {
    for engine in ENGINES {
        let mut report = Report::of("no connection left by idle callers", engine);
        let test = TestDatabase::new(engine);
        let (mut asked, mut ended) = (0, 0);
        // What it may have is its own limit, or what the operating system lets it have open.
        for (preparation, most) in [("exec", "50"), ("ulimit -n 300; exec", "10000")] {
            let limits = ["--receive-timeout", "1000", "--keep-alive", "1", "--max-connections", most];
            let server = Running::start(&mut after(preparation, &serve(&test.url, &limits)));
            let client = Client::register(&server.address).on_new_connections();
            let idle: Vec<_> = (0..400).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
            assert!(client.feed(), "who comes after them waits, and is served");
            assert_eq!(client.status("/healthz"), 200);
            asked += idle.len();
            // Each is told, or just cut off.
            for mut stream in idle {
                let _ = stream.read_to_end(&mut Vec::new());
                ended += 1;
            }
            assert!(client.feed() && client.publish().is_some());
        }
        report.tell(asked, 0, format!("{ended} cut off; a feed behind them is 200"));
    }
}

/// A caller who never comes to the end.
struct Slow {
    stream: TcpStream,
    kind: &'static Kind,
    sent: usize,
    reply: Vec<u8>,
}

/// In which way callers are slow.
struct Kind {
    name: &'static str,
    /// What is sent at once.
    first: &'static str,
    /// What then comes byte by byte, for ever.
    rest: &'static str,
    /// Whether they read what the service says.
    reads: bool,
}

const KINDS: [Kind; 8] = [
    Kind { name: "headers", first: "GET /api/feed/ HTTP/1.1\r\nx-header: ", rest: "x", reads: true },
    Kind {
        name: "headers of a second request",
        first: "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n",
        rest: "GET /api/feed/ HTTP/1.1\r\nx-header: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
               xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        reads: true,
    },
    Kind {
        name: "a body",
        first: "POST /api/auth/login/ HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                content-length: 100000\r\n\r\n",
        rest: " ",
        reads: true,
    },
    Kind {
        name: "a body in chunks",
        first: "POST /api/auth/login/ HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n",
        rest: "1\r\n \r\n",
        reads: true,
    },
    Kind {
        name: "a body that nobody asked for",
        first: "GET /healthz HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        rest: "1\r\n \r\n",
        reads: true,
    },
    Kind {
        name: "a body that is refused",
        first: "POST /api/auth/login/ HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                content-encoding: br\r\ncontent-length: 1000000000\r\n\r\n",
        rest: " ",
        reads: true,
    },
    Kind {
        name: "a body in chunks that is refused",
        first: "POST /api/auth/login/ HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                content-encoding: br\r\ntransfer-encoding: chunked\r\n\r\n",
        rest: "1\r\n \r\n",
        reads: true,
    },
    Kind {
        name: "answers that are not read",
        first: "GET /api/openapi.json HTTP/1.1\r\nhost: a\r\n\r\n",
        rest: "GET /api/openapi.json HTTP/1.1\r\nhost: a\r\n\r\n",
        reads: false,
    },
];

impl Slow {
    fn start(address: &str, kind: &'static Kind) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        // More than fits on the way, where it is not read.
        let times = if kind.reads { 1 } else { 64 };
        stream.write_all(kind.first.repeat(times).as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { stream, kind, sent: 0, reply: Vec::new() }
    }

    /// Sends a byte more: whether the service still listens.
    fn goes_on(&mut self) -> bool {
        let rest = self.kind.rest.as_bytes();
        match self.stream.write(&rest[self.sent % rest.len()..][..1]) {
            Ok(sent) => self.sent += sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
        let mut part = [0; 4_096];
        while self.kind.reads {
            match self.stream.read(&mut part) {
                Ok(0) => return false,
                Ok(read) => self.reply.extend(&part[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        true
    }
}

#[test]
fn who_sends_byte_by_byte_is_cut_off_and_the_others_are_served() {
    for engine in ENGINES {
        let mut report = Report::of("requests byte by byte", engine);
        let test = TestDatabase::new(engine);
        let limits = [
            ["--receive-timeout", "1000"],
            ["--keep-alive", "1"],
            // Others must not be refused on a machine that has much else to do.
            ["--connection-timeout", "6000"],
            ["--request-timeout", "6000"],
        ];
        let server = Running::start(&mut serve(&test.url, limits.as_flattened()));
        // Connections that are kept open may end between two requests: here soon.
        let client = Client::register(&server.address).on_new_connections();
        let is_over = AtomicBool::new(false);
        let (told, asked, feeds) = std::thread::scope(|scope| {
            let others = scope.spawn(|| {
                let mut feeds = 0;
                while !is_over.load(Ordering::Relaxed) {
                    assert!(client.feed());
                    assert_eq!(client.status("/healthz"), 200);
                    feeds += 1;
                    std::thread::sleep(Duration::from_millis(5));
                }
                feeds
            });
            let mut slow: Vec<_> =
                KINDS.iter().cycle().take(300).map(|kind| Slow::start(&server.address, kind)).collect();
            let (asked, mut told) = (slow.len(), 0);
            let end = std::time::Instant::now() + Duration::from_secs(120);
            while !slow.is_empty() && std::time::Instant::now() < end {
                for gone in slow.extract_if(.., |caller| !caller.goes_on()) {
                    told += usize::from(String::from_utf8_lossy(&gone.reply).contains("HTTP/1.1 408 "));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            is_over.store(true, Ordering::Relaxed);
            let left: BTreeSet<_> = slow.iter().map(|caller| caller.kind.name).collect();
            assert!(left.is_empty(), "{} are never cut off: {left:?}", slow.len());
            (told, asked, others.join().unwrap())
        });
        report.tell(asked, 0, format!("all cut off, {told} by a 408; {feeds} feeds of others all 200"));
    }
}

/// Counts answers until the service hangs up or so many have come.
fn count_answers(stream: &mut TcpStream, most: usize, count: &AtomicUsize) {
    let (mut rest, mut part) = (Vec::<u8>::new(), [0; 16_384]);
    while count.load(Ordering::Relaxed) < most {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(read) => rest.extend(&part[..read]),
        }
        let mut last = 0;
        while let Some(found) = rest[last..].windows(9).position(|bytes| bytes == b"HTTP/1.1 ") {
            last += found + 9;
            count.fetch_add(1, Ordering::Relaxed);
        }
        // What may be the beginning of the next one stays.
        let kept = rest.len().saturating_sub(8).max(last);
        rest.drain(..kept);
    }
}

#[test]
fn who_sends_requests_without_end_on_one_connection_stops_nobody() {
    const REQUESTS: usize = 20_000;
    for engine in ENGINES {
        let mut report = Report::of("20,000 requests on a connection", engine);
        let test = TestDatabase::new(engine);
        let server = Running::start(&mut serve(&test.url, &["--workers", "1"]));
        let client = Client::register(&server.address);
        let answered = AtomicUsize::new(0);
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let mut sender = stream.try_clone().unwrap();
        let before = memory(&server.child);
        let others = 20;
        std::thread::scope(|scope| {
            scope.spawn(move || sender.write_all(ASK.repeat(REQUESTS).as_bytes()));
            let answered = &answered;
            let attack = scope.spawn(move || count_answers(&mut stream, REQUESTS, answered));
            while answered.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            for _ in 0..others {
                assert!(client.feed());
            }
            let meanwhile = answered.load(Ordering::Relaxed);
            assert!(meanwhile < REQUESTS, "the others were served before the end of it");
            attack.join().unwrap();
            let growth = memory(&server.child).saturating_sub(before);
            assert!(growth < 16 * 1_024, "{growth} KiB more");
            let answered = answered.load(Ordering::Relaxed);
            assert_eq!(answered, REQUESTS, "it is answered too");
            // Of health checks, a caller has a line a second.
            let lines = REQUESTS - server.metric("feed_log_lines_suppressed_total ");
            assert!(lines < 1_000, "{lines} lines in the log");
            report.tell(
                REQUESTS,
                answered,
                format!("{others} feeds after {meanwhile} of them; {lines} lines in the log"),
            );
        });
    }
}

/// An address of this machine that is not its loopback; none where it has no network.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: it tells which of its addresses the machine would send from.
    socket.connect("198.51.100.1:9").ok()?;
    Some(socket.local_addr().unwrap().ip())
}

#[test]
fn one_address_does_not_have_all_connections() {
    for engine in ENGINES {
        let mut report = Report::of("all connections of one address", engine);
        let test = TestDatabase::new(engine);
        let mut command = feed_api(&["serve", "--bind", "0.0.0.0:0", "--admin-bind", "127.0.0.1:0"]);
        command.args(["--max-connections", "50", "--workers", "1"]);
        command.args(["--receive-timeout", "3600000", "--keep-alive", "3600"]);
        let server = Running::start(command.env("DATABASE_URL", &test.url).env("FEED_JWT_SECRET", SECRET));
        let port = server.address.rsplit_once(':').unwrap().1;
        let own = format!("127.0.0.1:{port}");
        let Some(address) = own_address() else {
            report.tell(0, 0, "not tried: this machine has no network");
            continue;
        };
        let client = Client::register(&own).on_new_connections();
        let attack: Vec<_> = (0..400).map(|_| TcpStream::connect((address, port.parse().unwrap()))).collect();
        let mut other = TcpStream::connect(&own).unwrap();
        // The end of patience, far beyond all that is promised.
        other.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        ask(&mut other);
        assert!(client.feed() && client.publish().is_some());
        let refused = "feed_connections_refused_total ";
        while server.metric(refused) < attack.len() - 5 {
            std::thread::yield_now();
        }
        // A tenth of all is an address's own.
        let mut kept: Vec<_> = attack.into_iter().filter_map(|stream| open(stream.ok()?)).collect();
        assert_eq!(kept.len(), 5);
        ask(&mut kept[0]);
        // When many addresses have them all, as this machine itself may, the private listener is left.
        let all: Vec<_> = (0..50).map(|_| TcpStream::connect(&own).unwrap()).collect();
        let private = server.metrics.replace("/metrics", "/healthz");
        assert_eq!(ureq::get(&private).call().unwrap().status().as_u16(), 200);
        drop((all, kept));
        client.comes_back();
        let mut again = TcpStream::connect((address, port.parse().unwrap())).unwrap();
        ask(&mut again);
        let refused = server.metric(refused);
        assert_eq!(refused, 395, "places are given back");
        report.tell(400, 5, format!("{refused} refused; all others served; /healthz answers"));
    }
}

/// The connection, if the service has not closed it.
fn open(mut stream: TcpStream) -> Option<TcpStream> {
    stream.set_nonblocking(true).unwrap();
    let waits = stream.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    waits.then_some(stream)
}
