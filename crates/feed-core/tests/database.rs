//! Connections and pools: read-only connections, lost connections, cancellation, and the write-ahead log.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::mpsc;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::Text;
use feed_core::db::{self, CancelToken, Database, DatabaseUrl, Db, Engine, WAL_LIMIT};
use feed_core::migrate;
use feed_core::schema::users;
use feed_core::testing::{TestDatabase, on_both};
use feed_core::{Error, Result};

fn add_user(c: &mut Db, name: &str) -> Result<()> {
    let now = feed_core::clock::Clock::default().now();
    diesel::insert_into(users::table)
        .values((
            users::email.eq(name),
            users::email_key.eq(name),
            users::username.eq(name),
            users::password_hash.eq(""),
            users::created_at.eq(now),
        ))
        .execute(c)?;
    Ok(())
}

fn names(c: &mut Db) -> Result<Vec<String>> {
    Ok(users::table.select(users::username).order(users::id).load(c)?)
}

/// Runs a statement about the database of `test` from another database. `NAME` stands for its name.
fn from_outside(outside: &TestDatabase, test: &TestDatabase, sql: &str) -> usize {
    let name = test.url.split('?').next().unwrap().rsplit('/').next().unwrap();
    let sql = sql.replace("NAME", name);
    outside.database.with_writer(|c| Ok(diesel::sql_query(sql).execute(c)?)).unwrap()
}

const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'NAME'";

#[test]
fn reads_and_writes_succeed_after_the_server_closed_their_connections() {
    let (test, outside) = (TestDatabase::new(Engine::Postgres), TestDatabase::unmigrated(Engine::Postgres));
    for round in ["anna", "bea", "carl"] {
        assert!(from_outside(&outside, &test, CUT) > 0);
        test.database.read(names).unwrap();
        assert!(from_outside(&outside, &test, CUT) > 0);
        test.database.write(|c| add_user(c, round)).unwrap();
    }
    assert_eq!(test.database.read(names).unwrap(), ["anna", "bea", "carl"]);
}

#[test]
fn the_first_read_and_write_after_an_outage_succeed() {
    let (test, outside) = (TestDatabase::new(Engine::Postgres), TestDatabase::unmigrated(Engine::Postgres));
    // Open several connections. The outage leaves them dead in the pool.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                test.database.read(|c| Ok(diesel::sql_query("SELECT pg_sleep(0.2)").execute(c)?)).unwrap()
            });
        }
    });
    from_outside(&outside, &test, "ALTER DATABASE NAME ALLOW_CONNECTIONS false");
    assert!(from_outside(&outside, &test, CUT) >= 4);
    for _ in 0..6 {
        assert!(matches!(test.database.read(names), Err(Error::Unavailable(_))));
    }
    from_outside(&outside, &test, "ALTER DATABASE NAME ALLOW_CONNECTIONS true");
    assert!(test.database.read(names).unwrap().is_empty());
    test.database.write(|c| add_user(c, "anna1")).unwrap();
    assert_eq!(test.database.read(names).unwrap(), ["anna1"]);
}

#[test]
fn many_processes_may_migrate_at_once() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        for _ in 0..3 {
            let test = TestDatabase::unmigrated(engine);
            let url: DatabaseUrl = test.url.parse().unwrap();
            let ran: Vec<_> = std::thread::scope(|scope| {
                let migrate = || {
                    let own = Database::open(&url, 1).unwrap();
                    own.with_writer(migrate::run).unwrap().len()
                };
                let processes: Vec<_> = (0..4).map(|_| scope.spawn(migrate)).collect();
                processes.into_iter().map(|p| p.join().unwrap()).collect()
            });
            assert_eq!(ran.iter().filter(|n| **n > 0).count(), 1, "on {engine:?}: {ran:?}");
            assert!(!test.database.read(migrate::is_pending).unwrap());
        }
    }
}

#[test]
fn a_url_that_libpq_cannot_read_does_not_print_its_password() {
    for url in
        ["postgres://u:hunter2@[::1/db", "postgres://u:hunter2%zz@h/db", "postgres://h/d?password=hunter2%zz"]
    {
        let error = Database::open(&url.parse().unwrap(), 1).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn every_form_of_url_that_libpq_accepts_works() {
    let test = TestDatabase::new(Engine::Postgres);
    let (start, parameters) = test.url.split_once('?').unwrap();
    let (name, host) = (start.rsplit('/').next().unwrap(), parameters.strip_prefix("host=").unwrap());
    let (host, others) = host.split_once('&').unwrap();
    let encoded = host.replace('/', "%2F");
    for url in [
        format!("{}&", test.url),
        format!("postgres://feed_test@{encoded}:5432/{name}?"),
        format!("postgres://feed_test:pass?w#rd@{encoded}/{name}"),
        format!("postgresql://feed_test:@{encoded},{encoded}:5432/{name}?"),
        format!("postgres://{encoded}?{others}&dbname={name}&connect%5Ftimeout=9"),
    ] {
        let database = Database::open(&url.parse().unwrap(), 1).unwrap();
        database.write(|c| add_user(c, &url)).unwrap();
    }
    assert_eq!(test.database.read(names).unwrap().len(), 5);
}

#[test]
fn a_failed_write_leaves_nothing() {
    on_both(|test| {
        let failed: Result<()> = test.database.write(|c| {
            add_user(c, "anna1")?;
            assert_eq!(names(c)?, ["anna1"]);
            Err(Error::NotFound("reason to go on"))
        });
        assert!(matches!(failed, Err(Error::NotFound(_))));
        assert!(test.database.read(names).unwrap().is_empty());
        test.database.write(|c| add_user(c, "bea1")).unwrap();
        assert_eq!(test.database.read(names).unwrap(), ["bea1"]);
    });
}

#[test]
fn a_panic_in_a_write_leaves_nothing_and_frees_the_writer() {
    on_both(|test| {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            test.database.write(|c| -> Result<()> {
                add_user(c, "anna1")?;
                panic!("on purpose")
            })
        }));
        assert!(panicked.is_err());
        test.database.write(|c| add_user(c, "bea1")).unwrap();
        assert_eq!(test.database.read(names).unwrap(), ["bea1"]);
    });
}

#[test]
fn readers_of_an_embedded_file_cannot_write() {
    let test = TestDatabase::new(Engine::Sqlite);
    assert!(test.database.read(|c| add_user(c, "anna1")).is_err());
    assert!(test.database.read(names).unwrap().is_empty());
}

/// Without these options, SQLite plans a statement with a bound LIMIT again at every run, takes a lock for each column of
/// each row, and shares one lock between all page caches and another between all allocations. Tests that count work do
/// not show that.
#[test]
fn the_embedded_library_has_its_compile_options() {
    #[derive(QueryableByName)]
    struct CompileOption {
        #[diesel(sql_type = Text)]
        compile_options: String,
    }
    let none: [String; 0] = [];
    assert_eq!(db::missing_build_options().unwrap(), none, "built without the flags of .cargo/config.toml");
    // And as SQLite itself lists them.
    let test = TestDatabase::new(Engine::Sqlite);
    let list: Vec<CompileOption> =
        test.database.with_writer(|c| Ok(diesel::sql_query("PRAGMA compile_options").load(c)?)).unwrap();
    let has = |option: &str| list.iter().any(|row| row.compile_options == option);
    assert!(has("ENABLE_QPSG") && has("THREADSAFE=2") && has("DEFAULT_MEMSTATUS=0"));
    assert!(!has("ENABLE_MEMORY_MANAGEMENT"));
}

/// A statement that runs until it is ended; for an hour on PostgreSQL.
fn endless(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS n FROM n"
        }
        Engine::Postgres => "SELECT pg_sleep(3600)",
    }
}

#[test]
fn a_cancelled_read_ends_and_its_connection_serves_the_next() {
    on_both(|test| {
        let database = Database::open(&test.url.parse().unwrap(), 1).unwrap();
        let endless = endless(database.engine());
        for _ in 0..20 {
            let token = CancelToken::default();
            let (begins, begun) = mpsc::channel();
            let read = std::thread::spawn({
                let database = database.cancelled_by(token.clone());
                move || {
                    database.read(|c| {
                        begins.send(()).unwrap();
                        Ok(diesel::sql_query(endless).execute(c)?)
                    })
                }
            });
            begun.recv().unwrap();
            database.cancel(&token);
            assert!(matches!(read.join().unwrap(), Err(Error::TimedOut(_))));
            // A late cancel request would end this read.
            let next = database.read(|c| match c {
                Db::Sqlite(_) => Ok(0),
                Db::Postgres(c) => Ok(diesel::sql_query("SELECT pg_sleep(0.01)").execute(c)?),
            });
            next.unwrap();
            let never = database.cancelled_by(token).read(|_| -> Result<()> { panic!("it begins") });
            assert!(matches!(never, Err(Error::TimedOut(_))));
        }
    });
}

#[test]
fn a_read_of_many_short_statements_is_cancelled_too() {
    // Not on SQLite: each statement would end before the first check of the token. No read has more than a few
    // statements.
    let test = TestDatabase::new(Engine::Postgres);
    let token = CancelToken::default();
    let (begins, begun) = mpsc::channel();
    let read = std::thread::spawn({
        let database = test.database.cancelled_by(token.clone());
        move || {
            database.read(|c| -> Result<()> {
                loop {
                    diesel::sql_query("SELECT 1").execute(c)?;
                    let _ = begins.send(());
                }
            })
        }
    });
    begun.recv().unwrap();
    test.database.cancel(&token);
    assert!(read.join().unwrap().is_err());
}

#[test]
fn a_check_succeeds_while_all_connections_are_in_use() {
    on_both(|test| {
        let database = Database::open(&test.url.parse().unwrap(), 2).unwrap();
        std::thread::scope(|scope| {
            let held: Vec<_> = (0..2)
                .map(|_| {
                    let (begins, begun) = mpsc::channel();
                    let (end, ended) = mpsc::channel::<()>();
                    let database = &database;
                    scope.spawn(move || {
                        database.read(|_| {
                            begins.send(()).unwrap();
                            let _ = ended.recv();
                            Ok(())
                        })
                    });
                    begun.recv().unwrap();
                    end
                })
                .collect();
            assert!(!database.check(migrate::is_pending).unwrap());
            drop(held);
        });
    });
}

/// A read that lasts until this is dropped.
struct Reading(Option<(mpsc::Sender<()>, std::thread::JoinHandle<()>)>);

impl Reading {
    fn begin(database: &Database) -> Self {
        let (begins, begun) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let database = database.clone();
        let thread = std::thread::spawn(move || {
            let read = database.read(|c| {
                diesel::sql_query("BEGIN").execute(c)?;
                names(c)?;
                begins.send(()).unwrap();
                let _ = ended.recv();
                Ok(diesel::sql_query("COMMIT").execute(c)?)
            });
            read.unwrap();
        });
        begun.recv().unwrap();
        Self(Some((end, thread)))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.0.take() {
            drop(end);
            thread.join().unwrap();
        }
    }
}

/// Writes some 100 kB.
fn write_much(database: &Database) {
    let text = "x".repeat(100_000);
    let write = |c: &mut Db| {
        let now = feed_core::clock::Clock::default().now();
        let name = format!("{}", rand::random::<u64>());
        diesel::insert_into(users::table)
            .values((
                users::email.eq(&name),
                users::email_key.eq(&name),
                users::username.eq(&name),
                users::password_hash.eq(&text),
                users::created_at.eq(now),
            ))
            .execute(c)?;
        Ok(())
    };
    database.write(write).unwrap();
}

#[test]
fn the_log_is_truncated_even_while_reads_overlap() {
    let test = TestDatabase::new(Engine::Sqlite);
    let database = &test.database;
    for _ in 0..2 {
        let mut reading = Reading::begin(database);
        while database.wal_bytes().unwrap() < 2 * WAL_LIMIT {
            write_much(database);
            // The next read begins before the previous one ends.
            reading = Reading::begin(database);
        }
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let readers = scope.spawn(|| {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    reading = Reading::begin(database);
                }
            });
            database.copy_wal().unwrap();
            let is_empty = database.empty_wal(Duration::from_secs(60)).unwrap();
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            readers.join().unwrap();
            assert!(is_empty);
        });
        assert_eq!(database.wal_bytes(), Some(0));
        // The next write starts a short log.
        write_much(database);
        assert!(database.wal_bytes().unwrap() < WAL_LIMIT);
    }
}

#[test]
fn a_long_read_keeps_the_log_but_does_not_block_writes() {
    let test = TestDatabase::new(Engine::Sqlite);
    let database = &test.database;
    let long = Reading::begin(database);
    for _ in 0..3 {
        write_much(database);
    }
    let held_at = database.copy_wal().unwrap();
    assert!(held_at.is_some());
    assert!(!database.empty_wal(Duration::ZERO).unwrap());
    for _ in 0..3 {
        write_much(database);
        assert_eq!(database.copy_wal().unwrap(), held_at, "the same reader still holds the log");
    }
    assert!(database.wal_bytes().unwrap() > 300_000);
    drop(long);
    assert_eq!(database.copy_wal().unwrap(), None);
    assert!(database.empty_wal(Duration::ZERO).unwrap());
    assert_eq!(database.wal_bytes(), Some(0));
}

#[test]
fn sqlite_shortens_a_long_log_when_it_restarts_it() {
    let test = TestDatabase::new(Engine::Sqlite);
    let database = &test.database;
    let long = Reading::begin(database);
    while database.wal_bytes().unwrap() < 2 * WAL_LIMIT {
        write_much(database);
    }
    drop(long);
    for _ in 0..3 {
        write_much(database);
    }
    assert!(database.wal_bytes().unwrap() <= WAL_LIMIT, "SQLite does this by itself");
}
