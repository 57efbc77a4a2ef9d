//! The bare drivers: SQLite's and libpq's C functions, called as a C program would call them.
//!
//! Statements are prepared once. Each read binds the values, runs the statement and reads every value of every row.
#![expect(unsafe_code, reason = "the bench measures the C interfaces themselves")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::hint::black_box;
use std::ptr::{null, null_mut};

use chrono::{NaiveDate, NaiveDateTime};
use libsqlite3_sys as sqlite;
use pq_sys as pq;

/// A statement that our code sent, with its binds.
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
    /// Parses the binds from Diesel's debug text. The feeds bind only integers and times.
    pub fn read(sql: &str, binds: &str) -> Self {
        let bind = |text: &str| match text.parse() {
            Ok(int) => Bind::Int(int),
            Err(_) => {
                Bind::Time(text.parse().unwrap_or_else(|_| panic!("{text} is neither an integer nor a time")))
            }
        };
        let binds = binds.trim_matches(['[', ']']).split(", ").map(bind).collect();
        Self { sql: CString::new(sql).expect("the SQL contains no zero byte"), binds }
    }
}

/// A connection to a database with prepared statements.
pub enum Bare {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Bare {
    /// Opens the database of `url`, runs the statements `settings`, and prepares the statements `sent`.
    pub fn open(url: &str, settings: &[String], sent: Vec<Sent>) -> Self {
        let settings = CString::new(settings.join(";")).expect("the settings contain no zero byte");
        match url.strip_prefix("sqlite://") {
            Some(path) => Self::Sqlite(Sqlite::open(
                &CString::new(path).expect("the path contains no zero byte"),
                &settings,
                sent,
            )),
            None => Self::Postgres(Postgres::open(
                &CString::new(url).expect("the URL contains no zero byte"),
                &settings,
                sent,
            )),
        }
    }

    /// Runs all statements, and returns the number of their rows.
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
    /// A time, in the format in which Diesel writes it.
    Text(String),
}

impl Sqlite {
    fn open(path: &CStr, settings: &CStr, sent: Vec<Sent>) -> Self {
        let mut db = null_mut();
        // SAFETY: the path ends in a zero byte, and `db` is valid for writing the handle.
        let code = unsafe {
            sqlite::sqlite3_open_v2(path.as_ptr(), &raw mut db, sqlite::SQLITE_OPEN_READWRITE, null())
        };
        assert_eq!(code, sqlite::SQLITE_OK, "the file opens");
        // SAFETY: the handle is open and the text ends in a zero byte. Callback, context and message may be null.
        let code = unsafe { sqlite::sqlite3_exec(db, settings.as_ptr(), None, null_mut(), null_mut()) };
        assert_eq!(code, sqlite::SQLITE_OK, "the settings are set");
        let statements = sent.into_iter().map(|sent| SqliteStatement::prepare(db, sent)).collect();
        Self { db, statements }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        for SqliteStatement { statement, .. } in &self.statements {
            // SAFETY: it is a statement of this connection, and is not used afterwards.
            unsafe { sqlite::sqlite3_finalize(*statement) };
        }
        // SAFETY: the handle is open, and all its statements are finalized.
        unsafe { sqlite::sqlite3_close(self.db) };
    }
}

impl SqliteStatement {
    fn prepare(db: *mut sqlite::sqlite3, sent: Sent) -> Self {
        let mut statement = null_mut();
        // SAFETY: the handle is open, the text ends in a zero byte (hence the length -1), and `statement` is valid for
        // writing the statement's handle.
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
            // SAFETY: the statement is reset. SQLite keeps a pointer to the text until the parameter is bound again.
            // `self` owns the text and does not change it.
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
            self.read_row();
        }
        // SAFETY: as above. The result is the error of the last step, if it failed.
        let code = unsafe { sqlite::sqlite3_reset(self.statement) };
        assert_eq!(code, sqlite::SQLITE_OK, "the statement ran to its end");
        rows
    }

    fn read_row(&self) {
        // SAFETY: the statement has a current row, SQLite itself counts the columns, and pointers into the row are not
        // used after the next step.
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
    /// Eight bytes each, big-endian: an integer, or a time as microseconds since 2000.
    binds: Vec<[u8; 8]>,
}

const BINARY: c_int = 1;
const INT8: pq::Oid = 20;
const TIMESTAMP: pq::Oid = 1114;

impl Postgres {
    fn open(url: &CStr, settings: &CStr, sent: Vec<Sent>) -> Self {
        // SAFETY: the URL ends in a zero byte.
        let connection = unsafe { pq::PQconnectdb(url.as_ptr()) };
        // SAFETY: the result of PQconnectdb, which may be null.
        let status = unsafe { pq::PQstatus(connection) };
        assert!(matches!(status, pq::ConnStatusType::CONNECTION_OK), "the server answers");
        // SAFETY: the connection is open and the text ends in a zero byte.
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
        // SAFETY: the connection is open and the name ends in a zero byte. The three arrays have one entry for each
        // bind, and each value is as long as its length says. libpq reads them only during the call.
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
        answer.read_rows()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SAFETY: the connection is open, and is not used afterwards.
        unsafe { pq::PQfinish(self.connection) };
    }
}

impl PostgresStatement {
    fn prepare(connection: *mut pq::PGconn, number: usize, sent: &Sent) -> Self {
        let name = CString::new(format!("bare_{number}")).expect("the name contains no zero byte");
        let epoch = NaiveDate::from_ymd_opt(2000, 1, 1).expect("a date").and_time(chrono::NaiveTime::MIN);
        let (types, binds): (Vec<pq::Oid>, Vec<_>) = sent
            .binds
            .iter()
            .map(|bind| match bind {
                Bind::Int(value) => (INT8, value.to_be_bytes()),
                Bind::Time(value) => {
                    let micros = (*value - epoch).num_microseconds().expect("the microseconds fit 64 bits");
                    (TIMESTAMP, micros.to_be_bytes())
                }
            })
            .unzip();
        // SAFETY: the connection is open, both texts end in a zero byte, and the number of types is that of the array.
        Answer::of(unsafe {
            pq::PQprepare(connection, name.as_ptr(), sent.sql.as_ptr(), length(types.len()), types.as_ptr())
        });
        Self { name, binds }
    }
}

/// A result of libpq that is not an error.
struct Answer(*mut pq::PGresult);

impl Answer {
    fn of(answer: *mut pq::PGresult) -> Self {
        let answer = Self(answer);
        // SAFETY: a result of libpq. Both functions accept null.
        let (status, message) = unsafe { (pq::PQresultStatus(answer.0), pq::PQresultErrorMessage(answer.0)) };
        let is_good =
            matches!(status, pq::ExecStatusType::PGRES_TUPLES_OK | pq::ExecStatusType::PGRES_COMMAND_OK);
        // SAFETY: libpq's messages are never null and end in a zero byte. This one lives as long as the result.
        assert!(is_good, "{:?}", unsafe { CStr::from_ptr(message) });
        answer
    }

    fn read_rows(&self) -> usize {
        // SAFETY: the result is not null, and libpq itself counts its rows and columns. Values live as long as the
        // result.
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
            usize::try_from(rows).expect("the number of rows is not negative")
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: a result that is not used afterwards, or null.
        unsafe { pq::PQclear(self.0) };
    }
}

fn length(length: usize) -> c_int {
    c_int::try_from(length).expect("lengths here are a few kilobytes at most")
}
