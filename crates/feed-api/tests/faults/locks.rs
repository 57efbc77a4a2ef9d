//! Locks that others hold, and statements that do not end.

use feed_core::db::Engine;
use feed_core::testing::TestDatabase;
use feed_test::binary::Running;
use pretty_assertions::assert_eq;

use crate::client::Client;
use crate::load::{Kept, Load};
use crate::report::Report;
use crate::{ENGINES, serve};

/// Takes the locks that every write needs: on SQLite that of the file.
const LOCK: &str = "UPDATE users SET username = username";

#[test]
fn while_another_program_holds_the_lock_writes_are_told_and_feeds_go_on() {
    for engine in ENGINES {
        let mut report = Report::of("lock held by another program", engine);
        let test = TestDatabase::new(engine);
        let limits = ["--statement-timeout", "1000", "--connection-timeout", "500"];
        let server = Running::start(&mut serve(&test.url, &limits));
        let client = Client::register(&server.address);
        let (mut sent, mut refused, mut feeds, mut kept) = (0, 0, 0, Kept::default());
        let mut tell = |load: &Load| {
            assert_eq!(load.unanswered(), 0, "everybody is told");
            (sent, refused) = (sent + load.sent(), refused + load.refused());
            kept.add(load.kept());
        };
        for _ in 0..2 {
            tell(&Load::during(&client, |load| load.keeps(20)));
            test.while_locked(LOCK, || {
                let held = Load::during(&client, |load| {
                    load.refuses(10);
                    client.refuses_a_write();
                    for _ in 0..5 {
                        assert_eq!(client.status("/healthz"), 200);
                        assert!(client.feed(), "readers wait for no writer");
                        feeds += 1;
                    }
                });
                assert_eq!(held.kept().count(), 0, "nothing can be kept");
                tell(&held);
            });
            client.is_back_within(5);
            tell(&Load::during(&client, |load| load.keeps(20)));
        }
        let found = kept.is_found_by(&client);
        report.tell(sent, kept.count(), format!("{found}; {refused} times 503, {feeds} feeds all 200"));
    }
}

/// Has every statement that reads this table take longer than any test, until `work` is done.
///
/// In place of the table stands a view of it, which comes with something that does not end.
pub fn while_slow<T>(test: &TestDatabase, table: &str, work: impl FnOnce() -> T) -> T {
    let endless = match test.database.engine() {
        Engine::Sqlite => {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS slow FROM n"
        }
        Engine::Postgres => "SELECT pg_sleep(3600) AS slow",
    };
    let run = |statement: &str| {
        let _ = test.execute(statement, &[]);
    };
    run(&format!("ALTER TABLE {table} RENAME TO renamed"));
    run(&format!("CREATE VIEW {table} AS SELECT renamed.* FROM renamed, ({endless}) AS endless"));
    let done = work();
    run(&format!("DROP VIEW {table}"));
    run(&format!("ALTER TABLE renamed RENAME TO {table}"));
    done
}

#[test]
fn a_statement_over_its_time_is_ended_and_told() {
    for engine in ENGINES {
        let mut report = Report::of("statements that do not end", engine);
        let test = TestDatabase::new(engine);
        let server = Running::start(&mut serve(&test.url, &["--statement-timeout", "600"]));
        let client = Client::register(&server.address);
        let flyer = client.publish().unwrap();
        let slow = [
            ("/api/feed/", "timed-out"),
            ("/api/favorites/feed/", "timed-out"),
            ("/api/users/1/", "timed-out"),
            ("/api/feed/?search=flyer", "search-too-broad"),
            ("/api/feed/?lat=47.4&lng=8.5&radius_km=5", "search-too-broad"),
        ];
        let ended = while_slow(&test, "users", || {
            // More than there are connections: each is free again when its statement was ended.
            let rounds = 2;
            for (path, kind) in slow.iter().cycle().take(rounds * slow.len()) {
                assert_eq!(client.refused(path), *kind, "{path}");
                assert_eq!(client.status("/healthz"), 200);
            }
            rounds * slow.len()
        });
        client.is_back_within(5);
        for (path, _) in slow {
            assert_eq!(client.status(path), 200, "{path}");
        }
        let found = Kept { flyers: vec![flyer], ..Kept::default() }.is_found_by(&client);
        report.tell(ended, 0, format!("{found}; {ended} times 503 timed-out or search-too-broad"));
    }
}

#[test]
fn when_slow_statements_have_all_connections_feeds_are_told_at_once() {
    for engine in ENGINES {
        let mut report = Report::of("all connections in slow statements", engine);
        let test = TestDatabase::new(engine);
        let limits = [
            ["--database-connections", "2"],
            ["--statement-timeout", "4000"],
            ["--connection-timeout", "200"],
        ];
        let server = Running::start(&mut serve(&test.url, limits.as_flattened()));
        let client = Client::register(&server.address);
        let flyer = client.publish().unwrap();
        let callers = 20;
        let kinds: Vec<_> = while_slow(&test, "users", || {
            std::thread::scope(|scope| {
                let feeds: Vec<_> =
                    (0..callers).map(|_| scope.spawn(|| client.refused("/api/feed/"))).collect();
                for _ in 0..10 {
                    assert_eq!(client.status("/healthz"), 200);
                }
                feeds.into_iter().map(|feed| feed.join().unwrap()).collect()
            })
        });
        client.is_back_within(5);
        assert!(client.publish().is_some());
        let told = |kind: &str| kinds.iter().filter(|told| *told == kind).count();
        let (slow, away) = (told("timed-out"), told("overloaded") + told("unavailable"));
        let found = Kept { flyers: vec![flyer], ..Kept::default() }.is_found_by(&client);
        report.tell(callers, 0, format!("{found}; 503 to {away} at once and to {slow} that were slow"));
        assert_eq!(slow + away, callers, "{kinds:?}");
        // Whoever waited for a connection did so for 0.2 s, and those who had one were at it for 4.
        assert!(slow >= 2 && away > 0, "{kinds:?}");
    }
}

#[test]
fn when_a_locked_table_has_all_connections_feeds_are_told_while_it_lasts() {
    // SQLite has no form of this: its readers wait for no lock.
    let mut report = Report::of("all connections behind a lock", Engine::Postgres);
    let test = TestDatabase::new(Engine::Postgres);
    let limits =
        ["--statement-timeout", "600000", "--request-timeout", "600000", "--connection-timeout", "200"];
    let server = Running::start(&mut serve(&test.url, &limits));
    let client = Client::register(&server.address);
    let flyer = client.publish().unwrap();
    let connections = 8;
    let outside = TestDatabase::unmigrated(Engine::Postgres);
    let name = test.url.split(['/', '?']).nth(3).unwrap();
    let waiting =
        format!("SELECT 1 FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock'");
    std::thread::scope(|scope| {
        let feeds: Vec<_> = test.while_locked("LOCK TABLE flyers IN ACCESS EXCLUSIVE MODE", || {
            let feeds = (0..connections).map(|_| scope.spawn(|| client.feed())).collect();
            while outside.execute(&waiting, &[]) < connections {
                std::thread::yield_now();
            }
            for _ in 0..5 {
                assert_eq!(client.refused("/api/feed/"), "overloaded");
                assert_eq!(client.status("/readyz"), 200, "by a connection of its own");
                assert_eq!(client.status("/healthz"), 200);
                client.refuses_a_write();
            }
            feeds
        });
        let served = feeds.into_iter().map(|feed| feed.join().unwrap()).filter(|ok| *ok).count();
        assert_eq!(served, connections, "who had a connection is served when the lock is gone");
    });
    client.is_back_within(5);
    assert!(client.publish().is_some());
    let found = Kept { flyers: vec![flyer], ..Kept::default() }.is_found_by(&client);
    report.tell(
        connections + 10,
        connections,
        format!("{found}; 10 times 503; {connections} feeds when it is over"),
    );
}
