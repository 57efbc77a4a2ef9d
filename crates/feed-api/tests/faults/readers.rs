//! The write-ahead log of an embedded database, among readers who leave it no moment of rest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::RunQueryDsl;
use feed_core::db::{Database, Engine, WAL_LIMIT};
use feed_core::testing::TestDatabase;
use feed_test::binary::Running;

use crate::client::Client;
use crate::load::{Kept, Load};
use crate::report::Report;
use crate::serve;

/// They fill more than twice of what the log may have.
const WRITES: usize = 600;

/// A reader in a transaction, until it is dropped.
fn reader(url: &str) -> Database {
    let reader = Database::open(&url.parse().unwrap(), 1).unwrap();
    reader
        .read(|connection| {
            diesel::sql_query("BEGIN").execute(connection)?;
            Ok(diesel::sql_query("SELECT count(*) FROM flyers").execute(connection)?)
        })
        .unwrap();
    reader
}

#[test]
fn among_readers_who_overlap_the_log_becomes_short_again() {
    let mut report = Report::of("readers who overlap", Engine::Sqlite);
    let test = TestDatabase::new(Engine::Sqlite);
    let server = Running::start(&mut serve(&test.url, &[]));
    let client = Client::register(&server.address);
    let length = || test.database.wal_bytes().unwrap();
    let (mut longest, mut sent, mut kept) = (0, 0, Kept::default());
    for long in [false, true] {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let over = || is_over.store(true, Ordering::Relaxed);
            let readers = scope.spawn(|| {
                // Each begins before the one before it ends.
                let mut current = reader(&test.url);
                while !is_over.load(Ordering::Relaxed) {
                    if !long {
                        current = reader(&test.url);
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                drop(current);
            });
            let load = Load::during(&client, |load| {
                if long {
                    while length() < 2 * WAL_LIMIT {
                        load.keeps(10);
                    }
                    longest = length();
                    over();
                } else {
                    load.keeps(WRITES);
                }
            });
            // The readers go on, where they are short.
            let end = Instant::now() + Duration::from_secs(60);
            while length() > WAL_LIMIT && Instant::now() < end {
                assert!(client.feed());
                std::thread::sleep(Duration::from_millis(20));
            }
            over();
            readers.join().unwrap();
            sent += load.sent();
            kept.add(load.kept());
            assert_eq!(load.refused() + load.unanswered(), 0, "no write has to wait for long");
        });
        assert!(length() <= WAL_LIMIT, "{} bytes are left", length());
    }
    let found = kept.is_found_by(&client);
    let longest = longest >> 20;
    report.tell(sent, kept.count(), format!("{found}; {longest} MiB behind a long one, then short"));
}
