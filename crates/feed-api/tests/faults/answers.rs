//! Responses that cost much to make or to hold: compressed ones, and those that nobody reads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use feed_core::db::Engine;
use feed_core::testing::TestDatabase;
use feed_test::binary::Running;

use crate::client::Client;
use crate::process::peak_memory;
use crate::report::Report;
use crate::serve;

/// As many requests as one caller may have in flight.
const CALLERS: usize = 256;

/// The longest file of the interactive docs: 1.5 MB.
const LONG: &str = "/api/docs/swagger-ui-bundle.js";

/// Asks for a path on a connection of its own, and reads only the status line.
fn ask(server: &Running, path: &str, encoding: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\naccept-encoding: {encoding}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

#[test]
fn responses_that_are_compressed_or_not_read_hold_bounded_memory() {
    for (fault, encoding) in
        [("256 brotli responses at once", "br"), ("256 responses that are not read", "identity")]
    {
        let mut report = Report::of(fault, Engine::Sqlite);
        let test = TestDatabase::new(Engine::Sqlite);
        let server = Running::start(&mut serve(&test.url, &[]));
        let client = Client::register(&server.address);
        let before = peak_memory(&server.child);
        let mut streams: Vec<_> = (0..CALLERS).map(|_| ask(&server, LONG, encoding)).collect();
        for stream in &mut streams {
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let mut status = [0; 12];
            stream.read_exact(&mut status).unwrap();
            assert_eq!(&status, b"HTTP/1.1 200");
        }
        // Another account notices nothing.
        assert!(client.feed() && client.publish().is_some());
        assert_eq!(client.status("/readyz"), 200);
        let growth = peak_memory(&server.child).saturating_sub(before) / 1_024;
        // 64 KiB for each connection, and once the file compressed.
        assert!(growth < 80, "{growth} MiB more at the most");
        drop(streams);
        let end = Instant::now() + Duration::from_secs(60);
        while ask(&server, "/api/feed/", "br").read(&mut [0; 12]).unwrap_or(0) < 12 {
            assert!(Instant::now() < end, "the caller gets no answers any more");
        }
        report.tell(CALLERS, 0, format!("others are served; {growth} MiB more at the most"));
    }
}
