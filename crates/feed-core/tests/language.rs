//! The classification of PostgreSQL's errors if its messages are not in English and the role may not change that.
//!
//! `scripts/pg` starts a server with German messages. Tests connect as an ordinary role.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Barrier;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::Text;
use feed_core::db::{Database, Db, Engine, Limits};
use feed_core::testing::{TestDatabase, with_database};
use feed_core::{Error, Result};

fn run(c: &mut Db, sql: &str) -> Result<usize> {
    Ok(diesel::sql_query(sql).execute(c)?)
}

fn limited(test: &TestDatabase, ms: u64) -> Database {
    let statement = Some(Duration::from_millis(ms));
    test.database.limited(Limits { statement, ..Limits::default() })
}

fn name(test: &TestDatabase) -> &str {
    test.url.split(['/', '?']).nth(3).unwrap()
}

fn language(database: &Database) -> String {
    let setting = diesel::dsl::sql::<Text>("current_setting('lc_messages')");
    database.read(|c| Ok(diesel::select(setting.clone()).get_result(c)?)).unwrap()
}

/// The other tests here rely on this. If the system has no German locale, `scripts/pg` has reported that.
#[test]
fn an_ordinary_role_has_the_language_of_the_server_and_a_superuser_english() {
    let test = TestDatabase::unmigrated(Engine::Postgres);
    let server = std::env::var("FEED_TEST_POSTGRES").unwrap();
    let as_superuser = Database::open(&with_database(&server, name(&test)).parse().unwrap(), 1).unwrap();
    assert_eq!(language(&as_superuser), "C");
    let Err(error) = test.database.read(|c| run(c, "SELEC")) else { panic!("this is not SQL") };
    let told = std::error::Error::source(&error).unwrap().to_string();
    if language(&test.database).starts_with("de") {
        assert!(told.starts_with("Syntaxfehler"), "{told}");
    }
    assert!(matches!(error, Error::Internal(_)), "{error:?}");
}

#[test]
fn a_deadlock_is_unavailable() {
    let test = TestDatabase::new(Engine::Postgres);
    let both_hold = Barrier::new(2);
    let (one, other) = (0, 1);
    let change = |first: i32, second: i32| {
        test.database.write(|c| {
            let row =
                |shard| format!("UPDATE content_versions SET version = version + 1 WHERE shard = {shard}");
            run(c, &row(first))?;
            both_hold.wait();
            run(c, &row(second))
        })
    };
    let done = std::thread::scope(|scope| {
        let threads = [scope.spawn(|| change(one, other)), scope.spawn(|| change(other, one))];
        threads.map(|thread| thread.join().unwrap())
    });
    let failed: Vec<_> = done.into_iter().filter_map(Result::err).collect();
    assert!(matches!(failed[..], [Error::Unavailable(_)]), "{failed:?}");
}

#[test]
fn timeouts_are_distinguished_from_wrong_statements() {
    let test = TestDatabase::new(Engine::Postgres);
    let slow = limited(&test, 200).read(|c| run(c, "SELECT pg_sleep(3600)"));
    assert!(matches!(slow, Err(Error::TimedOut(_))), "{slow:?}");
    let row = "UPDATE content_versions SET version = version + 1";
    let held_up = test.while_locked(row, || limited(&test, 400).write(|c| run(c, row)));
    assert!(matches!(held_up, Err(Error::Unavailable(_))), "{held_up:?}");
    // If a whole table is locked, the statement waits while it is parsed, and the error has a position in it.
    let table = "LOCK TABLE content_versions IN ACCESS EXCLUSIVE MODE";
    let held_up = test.while_locked(table, || limited(&test, 400).read(|c| run(c, "TABLE content_versions")));
    assert!(matches!(held_up, Err(Error::Unavailable(_))), "{held_up:?}");
    for sql in [
        "SELECT nothing FROM content_versions",
        "SELECT 1 / 0",
        "INSERT INTO content_versions VALUES (0, 0)",
        "SELECT CAST('x' AS bigint)",
    ] {
        let told = limited(&test, 60_000).write(|c| run(c, sql));
        assert!(matches!(told, Err(Error::Internal(_))), "{sql}: {told:?}");
    }
}

#[test]
fn a_connection_that_is_closed_during_a_statement_is_unavailable() {
    let test = TestDatabase::new(Engine::Postgres);
    let sleep = "SELECT pg_sleep(3600)";
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND query LIKE '%pg_sleep(3600)%' AND pid <> pg_backend_pid()";
    let told = std::thread::scope(|scope| {
        let asleep = scope.spawn(|| test.database.write(|c| run(c, sleep)));
        while test.database.read(|c| run(c, end)).unwrap() == 0 {
            std::thread::yield_now();
        }
        asleep.join().unwrap()
    });
    assert!(matches!(told, Err(Error::Unavailable(_))), "{told:?}");
}

#[test]
fn a_read_only_server_is_unavailable_for_writes_and_its_connections_are_dropped() {
    let (test, outside) = (TestDatabase::new(Engine::Postgres), TestDatabase::unmigrated(Engine::Postgres));
    let set = |setting: &str| {
        let sql = format!("ALTER DATABASE {} {setting}", name(&test));
        outside.database.with_writer(|c| run(c, &sql)).unwrap();
    };
    let add = |c: &mut Db| run(c, "UPDATE content_versions SET version = version + 1");
    set("SET default_transaction_read_only = on");
    let database = Database::open(&test.url.parse().unwrap(), 2).unwrap();
    for _ in 0..3 {
        let told = database.write(add);
        assert!(matches!(told, Err(Error::Unavailable(_))), "{told:?}");
        database.read(|c| run(c, "SELECT version FROM content_versions")).unwrap();
    }
    set("RESET default_transaction_read_only");
    // The pool may hold two connections that were opened as read-only. Each is found out by a write.
    let refused = (0..3).take_while(|_| database.write(add).is_err()).count();
    assert!(refused <= 2, "a read-only connection was used again");
    database.write(add).unwrap();
}
