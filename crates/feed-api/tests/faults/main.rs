//! The real binary while things break: its process, its disk, its database and the way there, and its callers.
//!
//! Each fault is held to the same: what was acknowledged is there, what cannot be done is told as a problem and soon,
//! `/healthz` answers, and all is well again when the fault is over, without anybody's help. Each prints a line of the
//! table that `scripts/faults` ends with.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod backup;
#[path = "../binary/mod.rs"]
mod binary;
mod client;
mod crash;
mod load;
mod proxy;
mod report;
mod server;

use std::process::Command;

use feed_core::db::Engine;
use feed_core::testing::TestDatabase;
use pretty_assertions::assert_eq;

use binary::{Running, SECRET, feed_api};
use client::Client;
use proxy::Proxy;

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

fn serve(url: &str, more: &[&str]) -> Command {
    let mut command = feed_api(&["serve", "--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0"]);
    command.args(["--rate-limit", "off"]).args(more);
    command.env("DATABASE_URL", url).env("FEED_JWT_SECRET", SECRET);
    command
}

#[test]
fn while_the_server_of_the_database_is_away_the_service_says_so_and_comes_back_by_itself() {
    let test = TestDatabase::new(Engine::Postgres);
    let proxy = Proxy::before(&test.url);
    let server = Running::start(&mut serve(&proxy.url, &["--connection-timeout", "500"]));
    let client = Client::register(&server.address);
    assert!(client.publish().is_some());
    for _ in 0..2 {
        proxy.cut();
        for _ in 0..3 {
            client.refused("/api/feed/");
            client.refused("/readyz");
            assert_eq!(client.status("/healthz"), 200);
            assert!(client.publish().is_none());
        }
        proxy.mend();
        client.comes_back();
        assert!(client.publish().is_some());
    }
}

#[test]
fn while_the_way_to_the_database_is_silent_callers_are_told_and_nothing_stays_stuck() {
    let test = TestDatabase::new(Engine::Postgres);
    let proxy = Proxy::before(&test.url);
    let limits = ["--connection-timeout", "500", "--request-timeout", "500"];
    let server = Running::start(&mut serve(&proxy.url, &limits));
    let client = Client::register(&server.address);
    client.comes_back();
    proxy.stall();
    // More than there are connections.
    for _ in 0..12 {
        client.refused("/api/feed/");
        assert_eq!(client.status("/healthz"), 200);
    }
    proxy.mend();
    client.comes_back();
    std::thread::scope(|scope| {
        let feeds: Vec<_> = (0..20).map(|_| scope.spawn(|| client.status("/api/feed/"))).collect();
        for feed in feeds {
            assert_eq!(feed.join().unwrap(), 200, "every connection is there again");
        }
    });
}

#[test]
fn a_full_disk_stops_writes_and_no_reads_and_harms_nothing() {
    let test = TestDatabase::new(Engine::Sqlite);
    // The process may write files of so many blocks of 512 bytes, and is told so instead of being killed.
    let service = serve(&test.url, &[]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 4000; exec \"$0\" \"$@\""]);
    command.arg(service.get_program()).args(service.get_args());
    for (name, value) in service.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut published = Vec::new();
    {
        let server = Running::start(&mut command);
        let client = Client::register(&server.address);
        while let Some(flyer) = client.publish() {
            published.push(flyer);
            assert!(published.len() < 5_000, "the disk is never full");
        }
        assert!(!published.is_empty(), "it was full from the start");
        for _ in 0..3 {
            assert!(client.publish().is_none());
            assert_eq!(client.status("/api/feed/"), 200);
            assert_eq!(client.status("/healthz"), 200);
        }
    }
    let again = Running::start(&mut serve(&test.url, &[]));
    let client = Client::register(&again.address);
    for flyer in published {
        assert_eq!(client.status(&format!("/api/flyers/{flyer}/")), 200, "flyer {flyer}");
    }
    assert!(client.publish().is_some());
}
