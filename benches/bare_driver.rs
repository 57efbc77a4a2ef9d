//! The drivers without anything above them: SQLite's and libpq's C functions, as a program in C would call them.
//!
//! Statements are prepared once; each read binds the values, runs the statement and looks at every value of every row.
#![expect(unsafe_code, reason = "what is measured is the C interface itself")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::hint::black_box;
use std::ptr::{null, null_mut};

use chrono::{NaiveDate, NaiveDateTime};
use libsqlite3_sys as sqlite;
use pq_sys as pq;

/// A statement as our code sent it.
pub struct Sent {
    sql: CString,
    binds: Vec<Bind>,
}

#[derive(Debug, Clone, Copy)]
enum Bind {
    Int(i64),
    Time(NaiveDateTime),
}

impl Sent {
    /// Reads the binds from Diesel's debug text of them: the feeds' are ids and times.
    pub fn read(sql: &str, binds: &str) -> Self {
        let bind = |text: &str| match text.parse() {
            Ok(int) => Bind::Int(int),
            Err(_) => Bind::Time(text.parse().unwrap_or_else(|_| panic!("{text} is no integer and no time"))),
        };
        let binds = binds.trim_matches(['[', ']']).split(", ").map(bind).collect();
        Self { sql: CString::new(sql).expect("SQL without a zero"), binds }
    }
}

/// A connection to a database with prepared statements.
pub enum Bare {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Bare {
    /// Opens the database of a URL of ours, runs `settings`, and prepares what was `sent`.
    pub fn open(url: &str, settings: &[String], sent: Vec<Sent>) -> Self {
        let settings = CString::new(settings.join(";")).expect("SQL without a zero");
        match url.strip_prefix("sqlite://") {
            Some(path) => Self::Sqlite(Sqlite::open(
                &CString::new(path).expect("a path without a zero"),
                &settings,
                sent,
            )),
            None => Self::Postgres(Postgres::open(
                &CString::new(url).expect("a URL without a zero"),
                &settings,
                sent,
            )),
        }
    }

    /// Runs the statements, and tells how many rows they have.
    pub fn read(&mut self) -> usize {
        match self {
            Self::Sqlite(connection) => connection.statements.iter_mut().map(SqliteStatement::read).sum(),
            Self::Postgres(connection) => (0..connection.statements.len()).map(|i| connection.read(i)).sum(),
        }
    }
}

pub struct Sqlite {
    db: *mut sqlite::sqlite3,
    statements: Vec<SqliteStatement>,
}

struct SqliteStatement {
    statement: *mut sqlite::sqlite3_stmt,
    binds: Vec<SqliteBind>,
}

enum SqliteBind {
    Int(i64),
    /// As Diesel writes a time.
    Text(String),
}

impl Sqlite {
    fn open(path: &CStr, settings: &CStr, sent: Vec<Sent>) -> Self {
        let mut db = null_mut();
        // SAFETY: the path ends in a zero, and `db` is where the handle goes.
        let code = unsafe {
            sqlite::sqlite3_open_v2(path.as_ptr(), &raw mut db, sqlite::SQLITE_OPEN_READWRITE, null())
        };
        assert_eq!(code, sqlite::SQLITE_OK, "the file opens");
        // SAFETY: the handle is open and the text ends in a zero; no callback, so no context, and no message.
        let code = unsafe { sqlite::sqlite3_exec(db, settings.as_ptr(), None, null_mut(), null_mut()) };
        assert_eq!(code, sqlite::SQLITE_OK, "the settings hold");
        let statements = sent.into_iter().map(|sent| SqliteStatement::prepare(db, sent)).collect();
        Self { db, statements }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        for SqliteStatement { statement, .. } in &self.statements {
            // SAFETY: a statement of this connection, which nobody uses from here on.
            unsafe { sqlite::sqlite3_finalize(*statement) };
        }
        // SAFETY: the handle is open and has no statements any more.
        unsafe { sqlite::sqlite3_close(self.db) };
    }
}

impl SqliteStatement {
    fn prepare(db: *mut sqlite::sqlite3, sent: Sent) -> Self {
        let mut statement = null_mut();
        // SAFETY: the handle is open, the text ends in a zero (hence the length -1) and `statement` is where it goes.
        let code = unsafe {
            sqlite::sqlite3_prepare_v3(
                db,
                sent.sql.as_ptr(),
                -1,
                sqlite::SQLITE_PREPARE_PERSISTENT,
                &raw mut statement,
                null_mut(),
            )
        };
        assert_eq!(code, sqlite::SQLITE_OK, "{:?} is prepared", sent.sql);
        let binds = sent.binds.into_iter().map(|bind| match bind {
            Bind::Int(value) => SqliteBind::Int(value),
            Bind::Time(value) => SqliteBind::Text(value.format("%F %T%.f").to_string()),
        });
        Self { statement, binds: binds.collect() }
    }

    fn read(&mut self) -> usize {
        for (bind, at) in self.binds.iter().zip(1..) {
            // SAFETY: the statement is reset. SQLite keeps a pointer to the text, which `self` owns and does not
            // change, until it is bound anew.
            let code = unsafe {
                match bind {
                    SqliteBind::Int(value) => sqlite::sqlite3_bind_int64(self.statement, at, *value),
                    SqliteBind::Text(text) => sqlite::sqlite3_bind_text(
                        self.statement,
                        at,
                        text.as_ptr().cast(),
                        length(text.len()),
                        sqlite::SQLITE_STATIC(),
                    ),
                }
            };
            assert_eq!(code, sqlite::SQLITE_OK);
        }
        let mut rows = 0;
        // SAFETY: the statement is prepared, and belongs to a connection that only this thread uses.
        while unsafe { sqlite::sqlite3_step(self.statement) } == sqlite::SQLITE_ROW {
            rows += 1;
            self.look_at_row();
        }
        // SAFETY: as above. It repeats the error of the step that was not a row, if there was one.
        let code = unsafe { sqlite::sqlite3_reset(self.statement) };
        assert_eq!(code, sqlite::SQLITE_OK, "the statement ran to its end");
        rows
    }

    fn look_at_row(&self) {
        // SAFETY: the statement stands on a row, the columns are counted by itself, and what a pointer names is
        // looked at before the next step.
        unsafe {
            for column in 0..sqlite::sqlite3_column_count(self.statement) {
                match sqlite::sqlite3_column_type(self.statement, column) {
                    sqlite::SQLITE_INTEGER => {
                        black_box(sqlite::sqlite3_column_int64(self.statement, column));
                    }
                    sqlite::SQLITE_FLOAT => {
                        black_box(sqlite::sqlite3_column_double(self.statement, column));
                    }
                    sqlite::SQLITE_TEXT => {
                        black_box(sqlite::sqlite3_column_text(self.statement, column));
                        black_box(sqlite::sqlite3_column_bytes(self.statement, column));
                    }
                    _ => {}
                }
            }
        }
    }
}

pub struct Postgres {
    connection: *mut pq::PGconn,
    statements: Vec<PostgresStatement>,
}

struct PostgresStatement {
    name: CString,
    /// Eight bytes each, the highest first: integers and microseconds since 2000 alike.
    binds: Vec<[u8; 8]>,
}

const BINARY: c_int = 1;
const INT8: pq::Oid = 20;
const TIMESTAMP: pq::Oid = 1114;

impl Postgres {
    fn open(url: &CStr, settings: &CStr, sent: Vec<Sent>) -> Self {
        // SAFETY: the URL ends in a zero.
        let connection = unsafe { pq::PQconnectdb(url.as_ptr()) };
        // SAFETY: what PQconnectdb gave, null or not.
        let status = unsafe { pq::PQstatus(connection) };
        assert!(matches!(status, pq::ConnStatusType::CONNECTION_OK), "the server answers");
        // SAFETY: the connection is open and the text ends in a zero.
        Answer::of(unsafe { pq::PQexec(connection, settings.as_ptr()) });
        let statements =
            (0..).zip(sent).map(|(i, sent)| PostgresStatement::prepare(connection, i, &sent)).collect();
        Self { connection, statements }
    }

    fn read(&mut self, statement: usize) -> usize {
        let PostgresStatement { name, binds } = &self.statements[statement];
        let values: Vec<*const c_char> = binds.iter().map(|bind| bind.as_ptr().cast()).collect();
        let lengths = vec![8; binds.len()];
        let formats = vec![BINARY; binds.len()];
        // SAFETY: the connection is open, the name ends in a zero, and the three arrays have one entry a bind, of
        // which each value is as long as its length says. libpq reads them during the call alone.
        let answer = Answer::of(unsafe {
            pq::PQexecPrepared(
                self.connection,
                name.as_ptr(),
                length(binds.len()),
                values.as_ptr(),
                lengths.as_ptr(),
                formats.as_ptr(),
                BINARY,
            )
        });
        answer.look_at_rows()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SAFETY: the connection is open, and nobody uses it from here on.
        unsafe { pq::PQfinish(self.connection) };
    }
}

impl PostgresStatement {
    fn prepare(connection: *mut pq::PGconn, number: usize, sent: &Sent) -> Self {
        let name = CString::new(format!("bare_{number}")).expect("a name without a zero");
        let epoch = NaiveDate::from_ymd_opt(2000, 1, 1).expect("a date").and_time(chrono::NaiveTime::MIN);
        let (types, binds): (Vec<pq::Oid>, Vec<_>) = sent
            .binds
            .iter()
            .map(|bind| match bind {
                Bind::Int(value) => (INT8, value.to_be_bytes()),
                Bind::Time(value) => {
                    let micros = (*value - epoch).num_microseconds().expect("fewer than 2^63");
                    (TIMESTAMP, micros.to_be_bytes())
                }
            })
            .unzip();
        // SAFETY: the connection is open, both texts end in a zero, and there are as many types as it says.
        Answer::of(unsafe {
            pq::PQprepare(connection, name.as_ptr(), sent.sql.as_ptr(), length(types.len()), types.as_ptr())
        });
        Self { name, binds }
    }
}

/// An answer that is no error.
struct Answer(*mut pq::PGresult);

impl Answer {
    fn of(answer: *mut pq::PGresult) -> Self {
        let answer = Self(answer);
        // SAFETY: an answer of libpq, null or not: both functions take either.
        let (status, message) = unsafe { (pq::PQresultStatus(answer.0), pq::PQresultErrorMessage(answer.0)) };
        let is_good =
            matches!(status, pq::ExecStatusType::PGRES_TUPLES_OK | pq::ExecStatusType::PGRES_COMMAND_OK);
        // SAFETY: libpq's messages are never null and end in a zero; this one lives as long as the answer.
        assert!(is_good, "{:?}", unsafe { CStr::from_ptr(message) });
        answer
    }

    fn look_at_rows(&self) -> usize {
        // SAFETY: the answer is there, and counts its rows and columns itself; values live as long as it does.
        unsafe {
            let (rows, columns) = (pq::PQntuples(self.0), pq::PQnfields(self.0));
            for row in 0..rows {
                for column in 0..columns {
                    if pq::PQgetisnull(self.0, row, column) == 0 {
                        black_box(pq::PQgetvalue(self.0, row, column));
                        black_box(pq::PQgetlength(self.0, row, column));
                    }
                }
            }
            usize::try_from(rows).expect("a number of rows")
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: an answer that nobody uses from here on, or null.
        unsafe { pq::PQclear(self.0) };
    }
}

fn length(length: usize) -> c_int {
    c_int::try_from(length).expect("some kilobytes at most")
}
