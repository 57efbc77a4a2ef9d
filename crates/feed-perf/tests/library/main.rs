//! Tests of the library on tables of its own: on SQLite in memory, on PostgreSQL in a schema that each test creates and
//! drops.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![expect(missing_docs, reason = "deriving MultiConnection generates public items without doc comments")]

mod engine_specific;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::NaiveDateTime;
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel::sql_types::Integer;
use feed_perf::log::{self, Kind, Log, Transaction};
use feed_perf::plan::{Plan, Planner};
use feed_perf::work::{Target, Work};
use feed_perf::{Error, QueryLog, Statement, plan};

diesel::table! {
    books {
        id -> Integer,
        author -> Integer,
        title -> Text,
        added -> Timestamp,
    }
}

#[derive(diesel::MultiConnection)]
pub enum Either {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

fn target(connection: &mut Either) -> Target<'_> {
    match connection {
        Either::Sqlite(connection) => Target::Sqlite(connection),
        Either::Postgres(connection) => Target::Postgres(connection),
    }
}

fn measure<T>(connection: &mut Either, work: impl FnOnce(&mut Either) -> T) -> (T, Work) {
    feed_perf::work::measure(connection, target, work).unwrap()
}

/// All plans of a statement: one on SQLite, two on PostgreSQL.
fn plans(connection: &mut Either, statement: &Statement) -> Vec<Plan> {
    match connection {
        Either::Sqlite(connection) => vec![plan::sqlite(connection, statement).unwrap()],
        Either::Postgres(connection) => {
            let plans = plan::postgres(connection, statement).unwrap();
            vec![plans.generic, plans.custom]
        }
    }
}

fn sqlite() -> SqliteConnection {
    log::install();
    SqliteConnection::establish(":memory:").unwrap()
}

fn url() -> String {
    std::env::var("FEED_TEST_POSTGRES").expect("FEED_TEST_POSTGRES names a server: run by scripts/pg run")
}

/// A connection to PostgreSQL with a schema of its own, which is dropped with it.
struct PostgresSchema {
    connection: Either,
    schema: String,
}

impl PostgresSchema {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        log::install();
        let schema = format!("library_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::establish(&url()).unwrap();
        connection.batch_execute(&format!("CREATE SCHEMA {schema}; SET search_path = {schema}")).unwrap();
        Self { connection: Either::Postgres(connection), schema }
    }

    fn postgres(&mut self) -> &mut PgConnection {
        match &mut self.connection {
            Either::Postgres(connection) => connection,
            Either::Sqlite(_) => unreachable!(),
        }
    }
}

impl Drop for PostgresSchema {
    fn drop(&mut self) {
        // Use a new connection, because the test may have left its own in a failed transaction.
        let dropped = PgConnection::establish(&url())
            .map(|mut connection| connection.batch_execute(&format!("DROP SCHEMA {} CASCADE", self.schema)));
        if !matches!(dropped, Ok(Ok(()))) {
            eprintln!("the schema {} could not be dropped: {dropped:?}", self.schema);
        }
    }
}

/// Runs `test` on each engine, with 2,000 books by 100 authors.
fn on_both(test: impl Fn(&mut Either)) {
    let mut server = PostgresSchema::new();
    for connection in [&mut Either::Sqlite(sqlite()), &mut server.connection] {
        connection
            .batch_execute(
                "CREATE TABLE books (id INTEGER PRIMARY KEY, author INTEGER NOT NULL, title TEXT NOT NULL,
                                     added TIMESTAMP NOT NULL);
                 INSERT INTO books
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
                 SELECT i, i % 100, 'title ' || i, '2026-01-02 03:04:05' FROM n;
                 CREATE INDEX books_author ON books (author);",
            )
            .unwrap();
        connection.batch_execute("VACUUM").unwrap();
        connection.batch_execute("ANALYZE").unwrap();
        test(connection);
    }
}

fn title_of(connection: &mut Either, id: i32) -> String {
    books::table.find(id).select(books::title).get_result(connection).unwrap()
}

/// Loads a page of books, and then each of them again: an N+1 query.
fn with_n_plus_one(connection: &mut Either, rows: i64) -> Log {
    let load = || {
        let ids = books::table.select(books::id).limit(rows).load::<i32>(connection).unwrap();
        for id in ids {
            title_of(connection, id);
        }
    };
    log::record(load).1
}

fn panic_of(work: impl FnOnce()) -> String {
    *catch_unwind(AssertUnwindSafe(work)).unwrap_err().downcast::<String>().unwrap()
}

#[test]
fn the_message_of_a_wrong_count_has_the_statements_and_the_n_plus_one_query() {
    on_both(|c| {
        let count = || books::table.count().get_result::<i64>(c).unwrap();
        assert_eq!(log::assert_queries(1, count), 2000);
        let message = panic_of(|| {
            log::assert_queries(2, || {
                title_of(c, 1);
                books::table.count().get_result::<i64>(c).unwrap();
                title_of(c, 2);
                title_of(c, 3);
            });
        });
        assert!(message.starts_with("expected 2 statements, 4 were sent:\n   1. "), "{message}");
        assert!(message.contains(" ms  3 × SELECT "), "{message}");
        assert!(message.contains("\n   2. "), "{message}");
        assert!(message.contains("N+1 query? Sent 3 times: SELECT "), "{message}");
    });
}

#[test]
fn a_statement_that_repeats_with_the_rows_is_an_n_plus_one_query() {
    on_both(|c| {
        let (few, many) = (with_n_plus_one(c, 2), with_n_plus_one(c, 10));
        let growth = log::growth(&few, &many);
        assert_eq!(growth.len(), 1, "{growth:?}");
        assert_eq!((growth[0].few, growth[0].many), (2, 10));
        assert!(growth[0].sql.contains("title"), "{growth:?}");
        let message = panic_of(|| log::assert_no_growth(&few, &many));
        assert!(message.contains("N+1") && message.contains("2 × for few rows, 10 × for many"), "{message}");

        let of_ids = |c: &mut Either, ids: Vec<i32>| {
            let load = || books::table.filter(books::id.eq_any(ids)).select(books::title).load::<String>(c);
            log::record(load).1
        };
        log::assert_no_growth(&of_ids(c, vec![1]), &of_ids(c, (1..50).collect()));
    });
}

#[test]
fn scopes_nest_and_record_their_own_thread() {
    on_both(|c| {
        let ((first, second), all) = log::record(|| {
            let first = log::record(|| title_of(c, 1)).1;
            let elsewhere = std::thread::spawn(|| {
                diesel::select(sql::<Integer>("1")).get_result::<i32>(&mut sqlite()).unwrap();
            });
            elsewhere.join().unwrap();
            let second = log::record(|| (title_of(c, 2), title_of(c, 3))).1;
            (first, second)
        });
        assert_eq!((first.len(), second.len()), (1, 2));
        assert_eq!(all.statements, [first.statements, second.statements].concat());

        // A panic closes its scope.
        panic_of(|| log::record(|| panic!("{}", title_of(c, 4))).0);
        assert_eq!(log::record(|| ()).1, Log::default());
    });
}

#[test]
fn the_log_of_the_process_sees_every_thread_and_pool() {
    const MARK: &str = "SELECT 4711";
    log::install();
    let whole = QueryLog::of_process();
    let url = url();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let pool = Pool::new(ConnectionManager::<SqliteConnection>::new(":memory:")).unwrap();
            diesel::sql_query(MARK).execute(&mut pool.get().unwrap()).unwrap();
        });
        scope.spawn(|| {
            let pool = Pool::builder().max_size(1).build(ConnectionManager::<Either>::new(&url)).unwrap();
            diesel::sql_query(MARK).execute(&mut pool.get().unwrap()).unwrap();
        });
    });
    // Other tests may run in this process at the same time.
    let seen = whole.take().statements.into_iter().filter(|statement| statement.sql == MARK);
    assert_eq!(seen.count(), 2);
    assert!(
        whole.take().statements.iter().all(|statement| statement.sql != MARK),
        "a statement is taken only once"
    );
}

#[test]
fn an_open_connection_can_be_recorded() {
    let mut connection = sqlite();
    let own = QueryLog::attach(&mut connection);
    let (_, log) = log::record(|| diesel::sql_query("SELECT 1").execute(&mut connection));
    assert_eq!(own.take(), log);
    assert_eq!(log.len(), 1);
    assert!(own.take().is_empty());
}

#[test]
fn reads_writes_failures_and_transactions_are_distinguished() {
    on_both(|c| {
        let ((), log) = log::record(|| {
            c.transaction(|c| {
                title_of(c, 1);
                let nested: QueryResult<usize> = c.transaction(|c| {
                    diesel::update(books::table.find(1)).set(books::title.eq("new")).execute(c)?;
                    Err(diesel::result::Error::RollbackTransaction)
                });
                assert!(nested.is_err());
                diesel::delete(books::table.find(2)).execute(c)
            })
            .unwrap();
            diesel::sql_query("SELECT nothing FROM nowhere").execute(c).unwrap_err();
            c.batch_execute("INSERT INTO books VALUES (-1, 0, ' -- binds: [1]', '2026-01-02')").unwrap();
        });
        assert_eq!(log.of_kind(Kind::Read).count(), 2, "{log}");
        assert_eq!(log.of_kind(Kind::Write).count(), 3, "{log}");
        let failed: Vec<_> = log.statements.iter().filter(|statement| statement.failed).collect();
        assert_eq!(failed.len(), 1, "{log}");
        assert_eq!(failed[0].sql, "SELECT nothing FROM nowhere");
        assert!(log.statements.last().unwrap().sql.ends_with("' -- binds: [1]', '2026-01-02')"), "{log}");
        let (begin, commit, rollback) = (Transaction::Begin, Transaction::Commit, Transaction::Rollback);
        assert_eq!(log.transactions, [begin(1), begin(2), rollback(2), commit(1)]);
    });
}

#[test]
fn cached_runs_record_the_same_text_and_binds_as_the_first() {
    on_both(|c| {
        let added: NaiveDateTime = "2026-01-02T03:04:05.000250".parse().unwrap();
        let query = books::table
            .filter(books::title.eq(" -- binds: [\"}"))
            .filter(books::added.le(added))
            .filter(books::id.eq_any([1, 2]))
            .select(books::id);
        let load = |_| query.clone().load::<i32>(c).unwrap().len();
        let (found, log) = log::record(|| (0..3).map(load).sum::<usize>());
        assert_eq!((found, log.len()), (0, 3));
        assert_eq!(log.repeated().len(), 1);
        for statement in &log.statements {
            assert_eq!(statement.sql, log.statements[0].sql);
            assert!(!statement.sql.contains(" -- "), "{statement:?}");
            let binds = r#"[" -- binds: [\"}", 2026-01-02T03:04:05.000250"#;
            assert!(statement.binds.starts_with(binds), "{statement:?}");
        }
    });
}

#[test]
fn scans_sorts_and_indexes_are_found() {
    on_both(|c| {
        let mut explain = |query: &str| {
            let (answer, log) = log::record(|| diesel::sql_query(query).execute(c));
            answer.unwrap();
            plans(c, &log.statements[0])
        };
        for plan in explain("SELECT * FROM books WHERE author = 7") {
            assert!(plan.uses_index("books_author"), "{plan}");
            assert_eq!((plan.scans.len(), plan.sorts.len()), (0, 0), "{plan}");
        }
        for plan in explain("SELECT b.id FROM books AS b WHERE title > 'x' ORDER BY title") {
            assert!(plan.indexes.is_empty(), "{plan}");
            let table = if plan.planner == Planner::Sqlite { "b" } else { "books" };
            assert_eq!(
                plan.scans.iter().map(|scan| scan.table.as_str()).collect::<Vec<_>>(),
                [table],
                "{plan}"
            );
            assert_eq!(plan.sorts.len(), 1, "{plan}");
            let rows = if plan.planner == Planner::Sqlite { None } else { Some(0) };
            assert_eq!(plan.sorts[0].rows, rows, "{plan}");
            assert!(plan.to_string().lines().count() >= 2, "{plan}");
        }
        // Scans of CTEs and subqueries do not count, also under an alias.
        let constant = "WITH recent AS (SELECT id FROM books WHERE author = 7 ORDER BY id DESC LIMIT 5),
                             wanted(x) AS (VALUES (1), (2))
                        SELECT * FROM recent AS r JOIN wanted AS w ON r.id > w.x, (SELECT 1 AS one) AS s";
        for plan in explain(constant) {
            assert!(plan.scans.is_empty(), "{plan}\n{:?}", plan.scans);
        }
    });
}

#[test]
fn a_query_is_explained_without_running_it() {
    on_both(|c| {
        let query = books::table.filter(books::author.eq(7)).order(books::title).select(books::id);
        let (unsent, log) = log::record(|| plan::unsent(c, query).unwrap());
        assert!(log.is_empty(), "{log}");
        let (_, log) = log::record(|| query.load::<i32>(c).unwrap());
        let sent = &log.statements[0];
        assert_eq!((&unsent.sql, &unsent.binds), (&sent.sql, &sent.binds));
        let of_backend = match c {
            Either::Sqlite(_) => Statement::of::<diesel::sqlite::Sqlite>(&query),
            Either::Postgres(_) => Statement::of::<diesel::pg::Pg>(&query),
        };
        assert_eq!(of_backend.unwrap(), unsent);
        let expected = plans(c, sent);
        assert_eq!(plans(c, &unsent), expected);
        assert!(expected.iter().all(|plan| plan.uses_index("books_author") && plan.sorts.len() == 1));

        c.set_instrumentation(|_: diesel::connection::InstrumentationEvent<'_>| {});
        assert!(matches!(plan::unsent(c, query), Err(Error::Unseen)));
    });
}

#[test]
fn work_is_the_same_in_every_run() {
    on_both(|c| {
        let load = |c: &mut Either| {
            let by_title = books::table.filter(books::title.ne("")).order(books::title).select(books::id);
            assert_eq!(by_title.load::<i32>(c).unwrap().len(), 2000);
            title_of(c, 1);
            title_of(c, 2);
        };
        // Runs that are not measured must not add to the counters of those that are.
        load(c);
        let ((), first) = measure(c, load);
        load(c);
        let ((), second) = measure(c, load);
        assert_eq!(first, second, "{first}\n{second}");

        let shapes: Vec<_> = first.statements.iter().map(|statement| statement.times).collect();
        assert_eq!(shapes, [1, 2], "{first}");
        let (whole, total) = (first.statements[0].cost.unwrap(), first.total());
        assert_eq!((whole.returned, total.returned), (2000, 2002), "{first}");
        assert!(whole.units > 0 && total.units > whole.units, "{first}");
        assert_eq!(
            first.plans().filter(|plan| !plan.scans.is_empty()).count(),
            first.statements[0].plans.len()
        );
        match c {
            Either::Sqlite(_) => {
                assert_eq!((whole.scanned, whole.sorted, whole.visited), (1999, 1, None), "{first}");
            }
            Either::Postgres(_) => {
                assert_eq!((whole.sorted, whole.visited), (2000, Some(2000)), "{first}");
                assert_eq!((total.visited, first.unit), (Some(2002), "buffers"), "{first}");
            }
        }
        assert!(first.to_string().contains("2 × SELECT"), "{first}");
    });
}

#[test]
fn unmeasured_statements_are_reported_as_such() {
    on_both(|c| {
        let ((), work) = measure(c, |c| {
            diesel::delete(books::table.find(3)).execute(c).unwrap();
            diesel::sql_query("SELECT nothing FROM nowhere").execute(c).unwrap_err();
        });
        assert_eq!(work.statements[0].cost.is_some(), matches!(c, Either::Sqlite(_)), "{work}");
        assert_eq!((work.statements[1].cost, work.statements[1].plans.len()), (None, 0), "{work}");
        assert!(work.to_string().contains("not measured"), "{work}");
    });
}
