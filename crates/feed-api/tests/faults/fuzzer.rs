//! Requests that are nearly right: valid ones, with something wrong in their words or in their bytes.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Values of parameters, headers and parts of paths.
const WORDS: [&str; 34] = [
    "",
    "0",
    "-1",
    "1",
    "2",
    "1.5",
    "1e400",
    "-0.0",
    "NaN",
    "inf",
    "9223372036854775807",
    "9223372036854775808",
    "340282366920938463463374607431768211456",
    "00000000000000000001",
    "0x10",
    "+1",
    "%",
    "%0",
    "%zz",
    "%00",
    "%ff%fe",
    "%F0%9F%8E%89",
    "%u0041",
    "..",
    "../../etc/passwd",
    "%2e%2e%2f",
    "'; DROP TABLE users; --",
    "%25",
    "_",
    "\\",
    "{}",
    "null",
    "events,events,,",
    "\u{0}",
];

/// Parts of JSON, not all of which are any.
const JSON: [&str; 24] = [
    "null",
    "true",
    "-1",
    "0",
    "1.5",
    "1e400",
    "-1e-400",
    "9223372036854775808",
    "123456789012345678901234567890",
    "[]",
    "{}",
    "[[]]",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\x\"",
    "\"%s%n\"",
    "nul",
    "NaN",
    "01",
    "\"2026-13-45T99:99:99Z\"",
    "\"0000-00-00\"",
    ",",
];

/// Methods that no path answers, and some that are none.
const METHODS: [&str; 9] = ["BREW", "get", "HEAD", "OPTIONS", "TRACE", "CONNECT", "", "GET GET", "\u{e9}"];

/// Lengths of bodies and of their parts.
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1",
    "7",
    "99999999999999999999",
    "18446744073709551615",
    "0x5",
    "FFFFFFFFFFFFFFFFF",
    "a",
    "",
    " ",
    "+3",
];

/// A request in parts.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    fn new(method: &str, target: impl Into<String>) -> Self {
        let headers = vec![("host".to_owned(), b"a".to_vec())];
        Self { method: method.to_owned(), target: target.into(), headers, body: Vec::new() }
    }

    fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn with_body(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.with_header("content-type", "application/json")
    }

    /// The words before the body, which say that it has `length`.
    fn head(&self, length: &str) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend([length.as_bytes(), b"\r\n"].concat());
        bytes
    }

    /// As it is sent.
    pub fn bytes(&self) -> Vec<u8> {
        let length = format!("content-length: {}\r\n", self.body.len());
        [self.head(&length), self.body.clone()].concat()
    }
}

/// Makes requests up.
pub struct Fuzzer {
    dice: StdRng,
    token: String,
    cursor: String,
}

impl Fuzzer {
    /// Makes the same requests of the same seed, for the account of a token and with a cursor of the main feed.
    pub fn new(seed: u64, token: &str, cursor: &str) -> Self {
        Self { dice: StdRng::seed_from_u64(seed), token: token.to_owned(), cursor: cursor.to_owned() }
    }

    /// A request with nothing wrong in it, or with something wrong in its words, whose end can be told.
    pub fn request(&mut self) -> Request {
        let mut request = self.valid();
        for _ in 0..self.dice.random_range(0..3) {
            self.garble_words(&mut request);
        }
        request
    }

    /// Whether the next request is to have something wrong in its bytes.
    pub fn garbles_bytes(&mut self) -> bool {
        self.one_in(2)
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.dice.random_ratio(1, n)
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list.choose(&mut self.dice).unwrap()
    }

    /// A request that is right.
    fn valid(&mut self) -> Request {
        let id = self.dice.random_range(1..40);
        let feed = self.pick(&[
            "/api/feed/",
            "/api/flyers/",
            "/api/favorites/feed/",
            "/api/following/feed/",
            "/api/favorites/",
            "/api/follows/",
            "/api/users/1/flyers/",
        ]);
        let flyer = json!({
            "title": "Flyer", "description": "Every day", "location_address": "Bahnhofstrasse 1, Zürich",
            "latitude": 47.4, "longitude": 8.5, "categories": ["events"],
            "valid_from": "2020-01-01T00:00:00Z", "valid_until": "2099-01-01T00:00:00Z",
            "images": [{"url": "https://images.example.org/a.jpg"}],
        });
        let request = match self.dice.random_range(0..20) {
            0..8 => {
                let mut parameters = vec![format!("page_size={id}")];
                for parameter in [
                    "page=1",
                    "search=fly",
                    "search=flyer",
                    "categories=events",
                    "order=newest",
                    "filter=favorites",
                    "lat=47.4&lng=8.5",
                    "lat=47.4&lng=8.5&radius_km=5",
                ] {
                    if self.one_in(4) {
                        parameters.push(parameter.to_owned());
                    }
                }
                if self.one_in(3) {
                    parameters.push(format!("cursor={}", self.cursor));
                }
                Request::new("GET", format!("{feed}?{}", parameters.join("&")))
            }
            8 => Request::new("GET", format!("/api/flyers/{id}/")),
            9 => Request::new("GET", format!("/api/users/{id}/")),
            10 => Request::new("GET", format!("/api/follows/status/?user_id=1,2,{id}")),
            11 => Request::new(self.pick(&["PUT", "DELETE"]), format!("/api/favorites/{id}/")),
            12 => Request::new(self.pick(&["PUT", "DELETE"]), format!("/api/follows/{id}/")),
            13 => Request::new("POST", "/api/favorites/").with_body(&json!({"flyer_id": id})),
            14 => Request::new("POST", "/api/follows/").with_body(&json!({"followed_id": id})),
            15 => {
                Request::new("PATCH", "/api/users/me/").with_body(&json!({"username": format!("name {id}")}))
            }
            16 => Request::new("PATCH", format!("/api/flyers/{id}/")).with_body(&flyer),
            17 if self.one_in(3) => {
                let account =
                    json!({"email": "caller@example.org", "password": "wrong horse", "username": "x"});
                let path = self.pick(&["/api/auth/login/", "/api/auth/register/"]);
                Request::new("POST", path).with_body(&account)
            }
            _ => Request::new("POST", "/api/flyers/").with_body(&flyer),
        };
        if self.one_in(8) {
            request
        } else {
            request.with_header("authorization", format!("Bearer {}", self.token))
        }
    }

    /// A word that is none, for a place where `valid` stood.
    fn word(&mut self, valid: &str) -> String {
        let mut letters: Vec<char> = valid.chars().collect();
        match self.dice.random_range(0..4) {
            0 if !letters.is_empty() => {
                let at = self.dice.random_range(0..letters.len());
                letters[at] = self.dice.random_range('!'..'~');
                letters.into_iter().collect()
            }
            1 => valid.repeat(self.dice.random_range(2..40)),
            _ => self.pick(&WORDS).to_owned(),
        }
    }

    /// Has something wrong in the words of a request.
    fn garble_words(&mut self, request: &mut Request) {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        match self.dice.random_range(0..5) {
            0 => {
                let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
                let at = self.dice.random_range(0..parts.len());
                parts[at] = self.word(&parts[at].clone());
                request.target = format!("/{}?{query}", parts.join("/"));
            }
            1 | 2 if !query.is_empty() => {
                let mut parts: Vec<String> = query.split('&').map(str::to_owned).collect();
                let at = self.dice.random_range(0..parts.len());
                let (name, value) = parts[at].split_once('=').map_or(("", ""), |pair| pair);
                let (name, value) = (name.to_owned(), value.to_owned());
                match self.dice.random_range(0..6) {
                    0 => parts.push(parts[at].clone()),
                    1 => parts[at] = format!("{}={value}", self.word(&name)),
                    _ => parts[at] = format!("{name}={}", self.word(&value)),
                }
                request.target = format!("{path}?{}", parts.join("&"));
            }
            3 if !request.body.is_empty() => self.garble_json(request),
            _ => {
                let name = self.pick(&[
                    "authorization",
                    "content-type",
                    "if-none-match",
                    "x-request-id",
                    "origin",
                    "x-forwarded-for",
                    "host",
                    "accept",
                    "cookie",
                ]);
                request.headers.retain(|(known, _)| known != name);
                let valid =
                    if name == "authorization" { format!("Bearer {}", self.token) } else { "a".to_owned() };
                let mut value = self.word(&valid).replace(['\0', ' '], "").into_bytes();
                if self.one_in(4) {
                    value.push(self.dice.random_range(0x80..=0xff));
                }
                request.headers.push((name.to_owned(), value));
            }
        }
        // A space ends a target, and a control character the request.
        request.target.retain(|c| c.is_ascii_graphic());
    }

    fn garble_json(&mut self, request: &mut Request) {
        let body = std::mem::take(&mut request.body);
        let mut tree: Value = serde_json::from_slice(&body).unwrap_or(json!({}));
        let members =
            tree.as_object_mut().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        request.body = match self.dice.random_range(0..6) {
            0 => {
                let mut bytes = body;
                bytes.insert(self.dice.random_range(0..=bytes.len()), self.dice.random());
                bytes
            }
            1 => body[..self.dice.random_range(0..=body.len())].to_vec(),
            2 => {
                let depth = self.dice.random_range(1..300);
                format!("{{\"title\": {}{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes()
            }
            _ if members.is_empty() => self.pick(&JSON).as_bytes().to_vec(),
            3 => {
                let name = members.choose(&mut self.dice).unwrap();
                tree[name] = Value::String("ä".repeat(self.dice.random_range(0..5_000)));
                tree.to_string().into_bytes()
            }
            _ => {
                let name = members.choose(&mut self.dice).unwrap();
                tree[name] = json!("HERE");
                tree.to_string().replace("\"HERE\"", self.pick(&JSON)).into_bytes()
            }
        };
    }

    /// Has something wrong in the bytes of a request, so that its end may not be told any more.
    pub fn garble_bytes(&mut self, request: &mut Request) -> Vec<u8> {
        let mut bytes = request.bytes();
        match self.dice.random_range(0..12) {
            0..4 => {
                for _ in 0..self.dice.random_range(1..12) {
                    let at = self.dice.random_range(0..bytes.len());
                    match self.dice.random_range(0..4) {
                        0 => drop(bytes.remove(at)),
                        1 => bytes.insert(at, self.dice.random()),
                        2 => bytes[at] = *b"\r\n\0 :,;\"%/?&=".choose(&mut self.dice).unwrap(),
                        _ => bytes[at] ^= 1 << self.dice.random_range(0..8),
                    }
                }
            }
            4 => bytes.truncate(self.dice.random_range(0..bytes.len())),
            5 => {
                let length = format!("content-length: {}\r\n", self.pick(&NUMBERS));
                bytes = [request.head(&length), request.body.clone()].concat();
            }
            6 => {
                let lengths = "content-length: 2\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n";
                bytes = [request.head(lengths), request.body.clone()].concat();
            }
            7 | 8 => {
                bytes = request.head("transfer-encoding: chunked\r\n");
                for part in request.body.chunks(50) {
                    let right = format!("{:x}", part.len());
                    let size = if self.one_in(3) { self.pick(&NUMBERS) } else { &right };
                    bytes.extend([size.as_bytes(), b"\r\n", part, b"\r\n"].concat());
                }
                bytes.extend(
                    self.pick(&[
                        "0\r\n\r\n",
                        "0\r\n",
                        "",
                        "0\r\nx: y\r\n\r\n",
                        "00000000000000000000\r\n\r\n",
                    ])
                    .bytes(),
                );
            }
            9 => {
                let line = self.pick(&[
                    "no colon\r\n",
                    ": no name\r\n",
                    "x:\r\n folded\r\n",
                    "x: \0\r\n",
                    "x : y\r\n",
                    "\n",
                    "\r",
                    "host: b\r\n",
                    "expect: 100-continue\r\n",
                    "upgrade: websocket\r\nconnection: upgrade\r\n",
                    "accept-encoding: gzip;q=x, *;q=0\r\n",
                ]);
                let line = line.repeat(self.dice.random_range(1..150));
                bytes = [request.head(&line), request.body.clone()].concat();
            }
            10 => {
                let method = self.pick(&METHODS);
                method.clone_into(&mut request.method);
                if self.one_in(4) {
                    request.method = "X".repeat(self.dice.random_range(1..20_000));
                }
                bytes = request.bytes();
            }
            _ => {
                bytes = (0..self.dice.random_range(1..2_000)).map(|_| self.dice.random()).collect();
            }
        }
        bytes
    }
}
