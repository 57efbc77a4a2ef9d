//! The statements that code sends: recorded, counted, compared.
//!
//! Call [`install`] before the first connection is opened. From then on [`record`] and [`assert_queries`] see
//! what their own thread runs, on whatever connection, from a pool or not; [`QueryLog::of_process`] sees
//! every thread.
//!
//! Transaction control (BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE) and SET are no statements here; see
//! [`Log::transactions`]. A batch ([`batch_execute`](diesel::connection::SimpleConnection::batch_execute)) is
//! one.

mod growth;
pub(crate) mod recorder;

use std::fmt;
use std::time::Duration;

use diesel::Connection;

pub use crate::sql::Kind;
use crate::sqlite_trace::{self, SqliteCounters};
pub use growth::{Growth, assert_no_growth, growth};
use recorder::{Recorder, SharedLog};

/// A statement that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its text, without the values of its binds.
    pub sql: String,
    /// The text that it shares with its like: literals and placeholders are `?`, lists of them `(…)`, and
    /// every run of space and comments is one space.
    pub normalized: String,
    /// The values of its binds, in Diesel's debug text: `[1, "a"]`.
    pub binds: String,
    /// Whether it reads or writes.
    pub kind: Kind,
    /// From sending it to its last row.
    pub time: Duration,
    /// Whether the database refused it.
    pub failed: bool,
    /// What SQLite counted; none on PostgreSQL, and on a connection that was opened before [`install`].
    pub counters: Option<SqliteCounters>,
}

/// A step of transaction control, with the depth of the transaction that it begins or ends: 1 is the
/// outermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    /// BEGIN, or SAVEPOINT within a transaction.
    Begin(u32),
    /// COMMIT, or RELEASE.
    Commit(u32),
    /// ROLLBACK.
    Rollback(u32),
}

/// Statements that are equal but for their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    /// Their [`Statement::normalized`] text.
    pub sql: &'a str,
    /// They themselves, oldest first; never none.
    pub statements: Vec<&'a Statement>,
}

/// What was sent, oldest first, each in the order of its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// The statements.
    pub statements: Vec<Statement>,
    /// The transaction control, counted apart.
    pub transactions: Vec<Transaction>,
}

impl Log {
    /// How many statements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.statements.len()
    }

    /// Whether there are no statements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// The statements of one kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Statement> {
        self.statements.iter().filter(move |statement| statement.kind == kind)
    }

    /// The statements by what they have in common, in the order of each group's first one.
    #[must_use]
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for statement in &self.statements {
            match groups.iter_mut().find(|group| group.sql == statement.normalized) {
                Some(group) => group.statements.push(statement),
                None => groups.push(Group { sql: &statement.normalized, statements: vec![statement] }),
            }
        }
        groups
    }

    /// The groups of more than one statement: where one repeats with every row of another, an N+1.
    #[must_use]
    pub fn repeated(&self) -> Vec<Group<'_>> {
        let mut groups = self.groups();
        groups.retain(|group| group.statements.len() > 1);
        groups
    }
}

/// One line a group, each with the number of its first statement, its time and its text; then the N+1, if
/// any.
impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in self.groups() {
            let first =
                self.statements.iter().take_while(|statement| statement.normalized != group.sql).count();
            let count = group.statements.len();
            let time: Duration = group.statements.iter().map(|statement| statement.time).sum();
            let times = if count > 1 { format!("{count} × ") } else { String::new() };
            let failed = if group.statements.iter().any(|s| s.failed) { "  (failed)" } else { "" };
            let ms = time.as_secs_f64() * 1e3;
            writeln!(f, "{:>4}.  {ms:>9.3} ms  {times}{}{failed}", first + 1, group.sql)?;
        }
        for group in self.repeated() {
            writeln!(f, "N+1? Sent {} times: {}", group.statements.len(), group.sql)?;
        }
        Ok(())
    }
}

/// A log that goes on being written; clones share it.
#[derive(Debug, Clone)]
pub struct QueryLog {
    shared: SharedLog,
}

impl QueryLog {
    /// Records what `connection` sends from now on, in place of any instrumentation that it has.
    ///
    /// For a connection that is open already. [`record`] sees its statements too.
    pub fn attach(connection: &mut impl Connection) -> Self {
        let log = Self { shared: SharedLog::default() };
        connection.set_instrumentation(Recorder::new(Some(log.shared.clone())));
        log
    }

    /// Records what every thread of the process sends from now on, until the last clone of the log is
    /// dropped.
    ///
    /// For a test that watches a whole server from outside. See [`install`] for which connections report.
    #[must_use]
    pub fn of_process() -> Self {
        Self { shared: recorder::process_log() }
    }

    /// What was sent since the last call.
    #[must_use]
    pub fn take(&self) -> Log {
        std::mem::take(&mut *recorder::lock(&self.shared))
    }
}

/// Makes every connection that the process opens from now on report here, those of pools and of a
/// [`MultiConnection`](diesel::MultiConnection) included.
///
/// It becomes Diesel's default instrumentation, and on SQLite the trace callback of each connection. Further
/// calls do nothing. A statement that nobody records costs next to nothing: it is not even written down.
///
/// # Panics
/// When Diesel's default instrumentation cannot be set, because setting it has panicked before.
pub fn install() {
    sqlite_trace::install();
    diesel::connection::set_default_instrumentation(|| Some(Box::new(Recorder::new(None))))
        .expect("nothing panics while it sets the default instrumentation");
}

/// Does `work`, and tells which statements this thread ran meanwhile.
///
/// Scopes nest: what the inner one sees, the outer one sees too.
///
/// # Panics
/// When no connection can report, since neither [`install`] nor [`QueryLog::attach`] was called: nothing
/// would be seen, and every test of it would pass.
pub fn record<T>(work: impl FnOnce() -> T) -> (T, Log) {
    let (value, log) = recorder::in_scope(false, work);
    assert!(
        recorder::is_connected(),
        "no connection reports: call feed_perf::log::install() before one is opened"
    );
    (value, log)
}

/// Does `work`, which must send exactly `expected` statements from this thread.
///
/// # Panics
/// When it sends more or fewer, with the list of them; and see [`record`].
#[track_caller]
pub fn assert_queries<T>(expected: usize, work: impl FnOnce() -> T) -> T {
    let (value, log) = record(work);
    let sent = log.len();
    assert!(sent == expected, "expected {expected} statements, {sent} were sent:\n{log}");
    value
}
