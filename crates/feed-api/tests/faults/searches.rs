//! Searches that do not end, and those who ask for them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use feed_core::testing::TestDatabase;
use feed_test::binary::Running;
use pretty_assertions::assert_eq;

use crate::client::{Client, Outcome};
use crate::load::Kept;
use crate::locks::while_slow;
use crate::report::Report;
use crate::{ENGINES, serve};

/// Longer than a search waits for its turn here: one that has no answer then has its turn.
const BEYOND_THE_WAIT: Duration = Duration::from_millis(1_500);

/// A search that was sent. Its caller hangs up when it is dropped.
struct Search(TcpStream);

impl Search {
    fn send(address: &str, client: Option<&Client>) -> Self {
        let token = client.map(|client| format!("authorization: Bearer {}\r\n", client.token()));
        let token = token.unwrap_or_default();
        let mut stream = TcpStream::connect(address).unwrap();
        let head =
            format!("GET /api/feed/?search=flyer HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{token}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        Self(stream)
    }

    /// The status of its answer and the kind of problem; none where there is no answer yet.
    fn answer(&mut self) -> Option<(u16, String)> {
        self.0.set_nonblocking(true).unwrap();
        match self.0.peek(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            _ => Some(self.wait()),
        }
    }

    /// The same, when it has come.
    fn wait(&mut self) -> (u16, String) {
        self.0.set_nonblocking(false).unwrap();
        let mut reply = String::new();
        self.0.read_to_string(&mut reply).unwrap();
        let kind = reply.split_once("urn:pockitflyer:problem:").and_then(|(_, rest)| rest.split_once('"'));
        (reply[9..12].parse().unwrap(), kind.map(|(kind, _)| kind.to_owned()).unwrap_or_default())
    }
}

/// Sends a search of each, and returns those that have their turn: the others were told that there is too much to do.
fn fill<'a>(address: &str, callers: impl Iterator<Item = Option<&'a Client>>) -> Vec<(usize, Search)> {
    let mut sent: Vec<_> = callers.map(|client| Search::send(address, client)).enumerate().collect();
    std::thread::sleep(BEYOND_THE_WAIT);
    let all = sent.len();
    sent.retain_mut(|(_, search)| match search.answer() {
        None => true,
        Some(answer) => {
            assert_eq!(answer, (503, "overloaded".to_owned()));
            false
        }
    });
    assert!((1..all).contains(&sent.len()), "{} of {all} have their turn", sent.len());
    sent
}

#[test]
fn searches_that_do_not_end_leave_everything_else_alone_and_end_when_nobody_waits_for_them() {
    for engine in ENGINES {
        let mut report = Report::of("searches that do not end", engine);
        let test = TestDatabase::new(engine);
        let limits = [
            ["--statement-timeout", "600000"],
            ["--request-timeout", "600000"],
            ["--connection-timeout", "500"],
        ];
        let server = Running::start(&mut serve(&test.url, limits.as_flattened()));
        let address = &server.address;
        let client = Client::register(address);
        let flyer = client.publish().unwrap();
        // More than there are connections.
        let callers: Vec<_> = (0..12).map(|_| Client::register(address)).collect();
        let accounts = || callers.iter().map(Some);
        let served = || {
            for _ in 0..5 {
                assert!(client.feed());
                assert_eq!(client.status("/readyz"), 200);
                assert_eq!(client.status("/healthz"), 200);
                assert!(matches!(client.favorite(flyer), Outcome::Kept(_)));
            }
        };
        let (mut superseded, mut hung_up) = (0, 0);
        while_slow(&test, "flyer_texts", || {
            let mut under_way = fill(address, accounts());
            served();
            // Each account asks again: that has the place of what it asked before.
            for _ in 0..2 {
                for (caller, search) in &mut under_way {
                    let newer = Search::send(address, Some(&callers[*caller]));
                    let mut older = std::mem::replace(search, newer);
                    assert_eq!(older.wait(), (409, "superseded".to_owned()));
                    superseded += 1;
                }
                std::thread::sleep(BEYOND_THE_WAIT);
                for (_, search) in &mut under_way {
                    assert_eq!(search.answer(), None, "it has its turn");
                }
            }
            // Who hangs up leaves their places to as many others, with accounts and without.
            for anonymous in [false, true] {
                let places = under_way.len();
                hung_up += places;
                drop(under_way);
                under_way = fill(address, accounts().map(|client| client.filter(|_| !anonymous)));
                assert_eq!(under_way.len(), places);
                served();
            }
            hung_up += under_way.len();
        });
        client.is_back_within(5);
        assert_eq!(client.status("/api/feed/?search=flyer"), 200);
        let found = Kept { flyers: vec![flyer], favorites: vec![flyer] }.is_found_by(&client);
        let ended = superseded + hung_up;
        report.tell(
            ended,
            0,
            format!("{found}; {superseded} superseded, {hung_up} hung up; all else is 200"),
        );
    }
}
