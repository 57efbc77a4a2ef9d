//! Time limits: statements, waits for locks and waits for connections that take too long are ended.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use diesel::prelude::*;
use feed_core::db::{Database, Db, Engine, Limits};
use feed_core::testing::{TestDatabase, on_both};
use feed_core::{Error, Result};

/// A limit that no statement here reaches.
const HOUR: Duration = Duration::from_secs(3_600);

fn limited(test: &TestDatabase, ms: u64) -> Database {
    let statement = Some(Duration::from_millis(ms));
    test.database.limited(Limits { statement, ..Limits::default() })
}

/// Runs for an hour, or for ever on SQLite, unless it is ended.
fn endless(c: &mut Db) -> Result<()> {
    let sql = match c.engine() {
        Engine::Sqlite => {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
        }
        Engine::Postgres => "SELECT pg_sleep(3600)",
    };
    diesel::sql_query(sql).execute(c)?;
    Ok(())
}

/// Takes longer than the shortest limit of the tests, but ends by itself.
fn slow(c: &mut Db) -> Result<()> {
    let sql = match c.engine() {
        Engine::Sqlite => {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) SELECT sum(i) FROM n"
        }
        Engine::Postgres => "SELECT pg_sleep(0.1)",
    };
    diesel::sql_query(sql).execute(c)?;
    Ok(())
}

fn add_version(c: &mut Db) -> Result<()> {
    diesel::sql_query("UPDATE content_versions SET version = version + 1").execute(c)?;
    Ok(())
}

fn version(test: &TestDatabase) -> i64 {
    let sum =
        diesel::dsl::sql::<diesel::sql_types::BigInt>("CAST(sum(version) AS bigint) FROM content_versions");
    test.database.read(|c| Ok(diesel::select(sum.clone()).get_result(c)?)).unwrap()
}

#[test]
fn a_read_over_its_limit_is_ended_and_its_connection_stays_usable() {
    on_both(|test| {
        let database = limited(test, 20);
        for _ in 0..3 {
            assert!(matches!(database.read(endless), Err(Error::TimedOut(_))));
        }
        let limits = Limits { statement: Some(HOUR), ..Limits::default() };
        test.database.limited(limits).read(slow).unwrap();
    });
}

#[test]
fn a_write_over_its_limit_is_rolled_back_and_the_writer_stays_usable() {
    on_both(|test| {
        let before = version(test);
        let database = limited(test, 200);
        let ended = database.write(|c| {
            add_version(c)?;
            endless(c)
        });
        assert!(matches!(ended, Err(Error::TimedOut(_))), "{ended:?}");
        assert_eq!(version(test), before);
        test.database.write(add_version).unwrap();
        assert_ne!(version(test), before);
    });
}

#[test]
fn an_update_statement_over_its_limit_is_ended_too() {
    on_both(|test| {
        let before = version(test);
        let ended = limited(test, 50).write(|c| {
            let sql = match c.engine() {
                Engine::Sqlite => {
                    "UPDATE content_versions SET version = (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 \
                     FROM n) SELECT sum(i) FROM n)"
                }
                Engine::Postgres => {
                    "WITH s AS MATERIALIZED (SELECT pg_sleep(3600)) UPDATE content_versions SET version = version + \
                     (SELECT count(*) FROM s)"
                }
            };
            Ok(diesel::sql_query(sql).execute(c)?)
        });
        assert!(matches!(ended, Err(Error::TimedOut(_))), "{ended:?}");
        assert_eq!(version(test), before);
        test.database.write(add_version).unwrap();
    });
}

#[test]
fn work_without_limits_is_not_limited_by_those_of_earlier_work() {
    on_both(|test| {
        // With one connection, it is the same one that was limited before.
        let one = Database::open(&test.url.parse().unwrap(), 1).unwrap();
        let least = one.limited(Limits { statement: Some(Duration::from_millis(1)), ..Limits::default() });
        for _ in 0..2 {
            assert!(matches!(least.read(slow), Err(Error::TimedOut(_))));
            one.read(slow).unwrap();
            assert!(matches!(least.write(slow), Err(Error::TimedOut(_) | Error::Unavailable(_))));
            one.with_writer(slow).unwrap();
        }
    });
}

#[test]
fn a_lock_that_is_not_free_in_time_is_unavailable() {
    on_both(|test| {
        let lock = "UPDATE content_versions SET version = version + 1";
        let refused = test.while_locked(lock, || limited(test, 100).write(add_version));
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        limited(test, 5_000).write(add_version).unwrap();
    });
}

#[test]
fn the_wait_for_a_connection_is_limited() {
    on_both(|test| {
        let one = Database::open(&test.url.parse().unwrap(), 1).unwrap();
        let hasty = one.limited(Limits { connection: Duration::from_millis(1), ..Limits::default() });
        one.read(|_| {
            assert!(matches!(hasty.read(|_| Ok(())), Err(Error::Unavailable(_))));
            Ok(())
        })
        .unwrap();
        hasty.read(|_| Ok(())).unwrap();
    });
}
