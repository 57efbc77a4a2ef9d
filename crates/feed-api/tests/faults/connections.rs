//! The way to PostgreSQL: cut, silent, or ended from the other side.

use feed_core::db::Engine;
use feed_core::testing::TestDatabase;
use feed_test::binary::Running;
use pretty_assertions::assert_eq;

use crate::client::Client;
use crate::load::{Kept, Load};
use crate::proxy::Proxy;
use crate::report::Report;
use crate::serve;

#[test]
fn while_the_server_of_the_database_is_away_the_service_says_so_and_comes_back_by_itself() {
    let mut report = Report::of("way to PostgreSQL cut", Engine::Postgres);
    let test = TestDatabase::new(Engine::Postgres);
    let proxy = Proxy::before(&test.url);
    let server = Running::start(&mut serve(&proxy.url, &["--connection-timeout", "500"]));
    let client = Client::register(&server.address);
    let (mut sent, mut kept) = (0, Kept::default());
    let mut publish = || {
        sent += 1;
        let flyer = client.publish();
        kept.flyers.extend(flyer);
        flyer.is_some()
    };
    assert!(publish());
    for _ in 0..2 {
        proxy.cut();
        for _ in 0..3 {
            client.refused("/api/feed/");
            client.refused("/readyz");
            assert_eq!(client.status("/healthz"), 200);
            assert!(!publish());
        }
        proxy.mend();
        client.comes_back();
        assert!(publish());
    }
    let found = kept.is_found_by(&client);
    report.tell(sent, kept.count(), format!("{found}; 503 while it is cut, twice back"));
}

#[test]
fn while_the_way_to_the_database_is_silent_callers_are_told_and_nothing_stays_stuck() {
    let mut report = Report::of("way to PostgreSQL silent", Engine::Postgres);
    let test = TestDatabase::new(Engine::Postgres);
    let proxy = Proxy::before(&test.url);
    let limits = ["--connection-timeout", "500", "--request-timeout", "500"];
    let server = Running::start(&mut serve(&proxy.url, &limits));
    let client = Client::register(&server.address);
    client.comes_back();
    proxy.stall();
    // More than there are connections.
    let asked = 12;
    for _ in 0..asked {
        client.refused("/api/feed/");
        assert_eq!(client.status("/healthz"), 200);
    }
    proxy.mend();
    client.comes_back();
    let served = std::thread::scope(|scope| {
        let feeds: Vec<_> = (0..20).map(|_| scope.spawn(|| client.status("/api/feed/"))).collect();
        feeds.into_iter().map(|feed| feed.join().unwrap()).filter(|s| *s == 200).count()
    });
    report.tell(asked, 0, format!("{asked} times 503; then {served} of 20 feeds at once are 200"));
    assert_eq!(served, 20, "every connection is there again");
}

/// Ends every connection to the database but the one that asks.
const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[test]
fn when_postgres_ends_all_connections_reads_are_done_once_more_and_nothing_is_lost() {
    let mut report = Report::of("connections ended by PostgreSQL", Engine::Postgres);
    let test = TestDatabase::new(Engine::Postgres);
    // Patient with connections: those that are just made are ended too, and the pool waits before it tries again.
    let server = Running::start(&mut serve(&test.url, &["--connection-timeout", "10000"]));
    let client = Client::register(&server.address);
    let (mut ended, mut feeds) = (0, 0);
    let load = Load::during(&client, |load| {
        for _ in 0..8 {
            load.keeps(10);
            std::thread::scope(|scope| {
                let read = || (0..5).filter(|_| client.feed()).count();
                let readers: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
                ended += test.execute(CUT, &[]);
                for reader in readers {
                    let served = reader.join().unwrap();
                    assert_eq!(served, 5, "a read whose connection is ended is done again on a fresh one");
                    feeds += served;
                }
            });
            assert_eq!(client.status("/healthz"), 200);
            client.is_back_within(5);
        }
        load.keeps(10);
    });
    assert_eq!(load.unanswered(), 0, "everybody is told");
    assert!(ended >= 8, "{ended} connections were ended");
    let found = load.kept().is_found_by(&client);
    report.tell(
        load.sent(),
        load.kept().count(),
        format!("{found}; {ended} ended, {} writes 503, {feeds} feeds 200", load.refused()),
    );
}
