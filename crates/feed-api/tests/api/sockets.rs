//! How responses leave: one write each, at once, on both listeners.
#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use feed_core::db::Engine;
use feed_test::app::App;
use serde_json::json;

/// The options of this process's sockets.
mod options {
    #![expect(unsafe_code, reason = "the server's sockets are known to this process by number alone")]

    use std::fs;
    use std::mem::ManuallyDrop;
    use std::net::{SocketAddr, TcpStream};
    use std::os::fd::FromRawFd as _;

    /// Whether the socket of this process with these addresses sends at once (`TCP_NODELAY`).
    ///
    /// Its connection must stay open meanwhile.
    pub fn sends_at_once(local: SocketAddr, peer: SocketAddr) -> bool {
        for entry in fs::read_dir("/proc/self/fd").unwrap() {
            let number = entry.unwrap().file_name().to_str().unwrap().parse().unwrap();
            // SAFETY: the value is only asked for its addresses and its option, and never dropped, so the descriptor
            // stays its owner's. Where it is no socket or has been closed, the questions fail.
            let socket = ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(number) });
            let addresses = (socket.local_addr().ok(), socket.peer_addr().ok());
            if addresses == (Some(local), Some(peer)) {
                return socket.nodelay().unwrap();
            }
        }
        panic!("no socket from {local} to {peer}")
    }
}

/// A connection that is kept, and the address that it leads to.
struct Kept {
    stream: TcpStream,
    server: SocketAddr,
}

impl Kept {
    fn to(server: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(server).unwrap(), server }
    }

    /// Sends a GET and reads its response: the head, and the length of the body.
    fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> (String, usize) {
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n");
        for (name, value) in headers {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        request += "\r\n";
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let end = |bytes: &[u8]| bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        while end(&bytes).is_none() {
            self.receive(&mut bytes);
        }
        let head = String::from_utf8(bytes[..end(&bytes).unwrap()].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        while bytes.len() < head.len() + length {
            self.receive(&mut bytes);
        }
        assert_eq!(bytes.len(), head.len() + length, "nothing follows the body");
        (head, length)
    }

    fn receive(&mut self, bytes: &mut Vec<u8>) {
        let mut part = vec![0; 65_536];
        let read = self.stream.read(&mut part).unwrap();
        assert!(read > 0, "the connection ended within a response");
        bytes.extend_from_slice(&part[..read]);
    }

    fn is_sent_at_once(&self) -> bool {
        options::sends_at_once(self.server, self.stream.local_addr().unwrap())
    }
}

/// How many writes to the connections of this listener there were.
fn writes(app: &App, listener: &str) -> usize {
    let text = app.metrics();
    let name = format!("feed_connection_writes_total{{listener=\"{listener}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

/// Fifty flyers with texts of everyday length: some 40 kB of JSON.
fn publish_fifty(app: &App) {
    let creator = app.user("creator");
    for n in 0..50 {
        let description = format!("{n}. {}", "Fresh bread, every day from six. ".repeat(10));
        app.publish_with(&creator, &format!("Flyer {n}"), &json!({ "description": description }));
    }
}

#[test]
fn a_response_of_up_to_64_kb_leaves_in_one_write() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = App::start_with(engine, &["--admin-bind", "127.0.0.1:0"]);
        publish_fifty(&app);
        let mut kept = Kept::to(app.address);
        let mut longest = 0;
        for encoding in ["identity", "gzip", "br", "zstd"] {
            for rows in [1, 20, 50] {
                let path = format!("/api/feed/?page_size={rows}");
                let mut one_write = |headers: &[(&str, &str)], status: &str| {
                    let before = writes(&app, "public");
                    let (head, length) = kept.get(&path, headers);
                    let count = writes(&app, "public") - before;
                    let case = format!("{engine:?}, {encoding}, {rows} rows, {length} bytes");
                    assert!(head.starts_with(status), "{case}: {head}");
                    assert_eq!(count, 1, "writes for {case}");
                    longest = longest.max(length);
                    let coding = format!("content-encoding: {encoding}\r\n");
                    let is_coded = encoding != "identity" && length > 0;
                    assert_eq!(head.contains(&coding), is_coded, "{case}: {head}");
                    head
                };
                let head = one_write(&[("accept-encoding", encoding)], "HTTP/1.1 200");
                let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
                one_write(&[("accept-encoding", encoding), ("if-none-match", tag)], "HTTP/1.1 304");
            }
        }
        assert!(
            (32_768..65_536).contains(&longest),
            "{longest} bytes: longer than the HTTP library's buffer"
        );
        for (path, status) in [("/api/feed/?page=0", "HTTP/1.1 400"), ("/nothing", "HTTP/1.1 404")] {
            let before = writes(&app, "public");
            assert!(kept.get(path, &[]).0.starts_with(status));
            assert_eq!(writes(&app, "public") - before, 1, "writes for {path}");
        }
        assert!(kept.is_sent_at_once());
    }
}

#[test]
fn the_private_listener_sends_as_the_public_one_does() {
    let app = App::start_with(Engine::Sqlite, &["--admin-bind", "127.0.0.1:0"]);
    let private: SocketAddr = app.private_url("").strip_prefix("http://").unwrap().parse().unwrap();
    let mut kept = Kept::to(private);
    for path in ["/metrics", "/healthz", "/readyz", "/nothing"] {
        let before = writes(&app, "private");
        kept.get(path, &[]);
        // And one for the metrics themselves, which are written after they were read.
        assert_eq!(writes(&app, "private") - before, 2, "writes for {path}");
    }
    assert!(kept.is_sent_at_once());
}
