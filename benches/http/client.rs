//! A client that costs less than the service: its requests are bytes made once, and of a response it reads the length.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The longest response that is asked for, with its head.
const LONGEST: usize = 1 << 20;

/// A kept connection that sends the same requests again and again.
pub struct Client {
    stream: TcpStream,
    requests: Vec<u8>,
    at_once: usize,
    buffer: Box<[u8]>,
}

impl Client {
    /// Connects. Each exchange sends the request `at_once` times in one write.
    pub fn new(server: SocketAddr, path: &str, token: &str, encoding: &str, at_once: usize) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nAccept-Encoding: {encoding}\r\n\r\n"
        );
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        let buffer = vec![0; LONGEST].into_boxed_slice();
        Self { stream, requests: request.repeat(at_once).into_bytes(), at_once, buffer }
    }

    /// Sends the requests and reads their responses. Returns the length of the last body.
    ///
    /// # Panics
    /// Where a response is not a 200 with a length.
    pub fn exchange(&mut self) -> usize {
        self.stream.write_all(&self.requests).unwrap();
        let (mut start, mut end, mut length) = (0, 0, 0);
        for _ in 0..self.at_once {
            let body = loop {
                let head = self.buffer[start..end].windows(4).position(|four| four == b"\r\n\r\n");
                if let Some(head) = head {
                    break start + head + 4;
                }
                end += self.receive(end);
            };
            length = content_length(&self.buffer[start..body]);
            while end < body + length {
                end += self.receive(end);
            }
            start = body + length;
        }
        assert_eq!(start, end, "nothing follows the last response");
        length
    }

    fn receive(&mut self, end: usize) -> usize {
        let read = self.stream.read(&mut self.buffer[end..]).unwrap();
        assert!(read > 0, "the connection ended, or a response is longer than {LONGEST} bytes");
        read
    }
}

/// The length in the head of a 200.
fn content_length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.expect("a length").1.parse().unwrap()
}
