//! Records, counts and compares the statements that code sends.
//!
//! Call [`install`] before the first connection is opened. From then on [`record`] and [`assert_queries`] see the
//! statements of their own thread, on any connection, pooled or not. [`QueryLog::of_process`] sees those of every
//! thread.
//!
//! Transaction control (BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE) and SET do not count as statements; see
//! [`Log::transactions`]. A batch ([`batch_execute`](diesel::connection::SimpleConnection::batch_execute)) counts as
//! one statement.

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
    /// The SQL, without the values of the binds.
    pub sql: String,
    /// The SQL in a form that similar statements share: literals and placeholders are `?`, lists of them `(…)`, and
    /// white space and comments are one space.
    pub normalized: String,
    /// The values of the binds, as Diesel's debug text: `[1, "a"]`.
    pub binds: String,
    /// Whether it reads or writes.
    pub kind: Kind,
    /// The time from its start to its last row.
    pub time: Duration,
    /// Whether the database returned an error.
    pub failed: bool,
    /// SQLite's counters. `None` on PostgreSQL, and on a connection that was opened before [`install`].
    pub counters: Option<SqliteCounters>,
}

/// A step of transaction control, with the depth of the transaction that it begins or ends. The outermost is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    /// BEGIN, or SAVEPOINT within a transaction.
    Begin(u32),
    /// COMMIT, or RELEASE.
    Commit(u32),
    /// ROLLBACK.
    Rollback(u32),
}

/// Statements that differ only in their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    /// Their [`Statement::normalized`] text.
    pub sql: &'a str,
    /// The statements, oldest first. Never empty.
    pub statements: Vec<&'a Statement>,
}

/// The statements that were sent, in the order in which they ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// The statements.
    pub statements: Vec<Statement>,
    /// The steps of transaction control. They do not count as statements.
    pub transactions: Vec<Transaction>,
}

impl Log {
    /// The number of statements.
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

    /// The statements grouped by [`Statement::normalized`], in the order of each group's first statement.
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

    /// The groups of more than one statement. A statement that repeats for every row of another is an N+1 query.
    #[must_use]
    pub fn repeated(&self) -> Vec<Group<'_>> {
        let mut groups = self.groups();
        groups.retain(|group| group.statements.len() > 1);
        groups
    }
}

/// One line for each group: the number of its first statement, its time and its text. Then the groups that may be N+1
/// queries.
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
            writeln!(f, "N+1 query? Sent {} times: {}", group.statements.len(), group.sql)?;
        }
        Ok(())
    }
}

/// A log that keeps recording. Clones share it.
#[derive(Debug, Clone)]
pub struct QueryLog {
    shared: SharedLog,
}

impl QueryLog {
    /// Records what `connection` sends from now on. It replaces the connection's instrumentation.
    ///
    /// It is for a connection that is already open. [`record`] sees its statements too.
    pub fn attach(connection: &mut impl Connection) -> Self {
        let log = Self { shared: SharedLog::default() };
        connection.set_instrumentation(Recorder::new(Some(log.shared.clone())));
        log
    }

    /// Records what every thread of the process sends from now on, until the last clone of the log is
    /// dropped.
    ///
    /// It is for a test that calls a whole server from outside. [`install`] says which connections are recorded.
    #[must_use]
    pub fn of_process() -> Self {
        Self { shared: recorder::process_log() }
    }

    /// Returns what was sent since the last call, and removes it from the log.
    #[must_use]
    pub fn take(&self) -> Log {
        std::mem::take(&mut *recorder::lock(&self.shared))
    }
}

/// Makes every connection recordable that the process opens from now on, also those of pools and of a
/// [`MultiConnection`](diesel::MultiConnection).
///
/// It sets Diesel's default instrumentation, and on SQLite the trace callback of each connection. Further calls change
/// nothing. A statement that nobody records costs almost nothing, because its text is not formatted.
///
/// # Panics
/// When Diesel's default instrumentation cannot be set, because setting it has panicked before.
pub fn install() {
    sqlite_trace::install();
    diesel::connection::set_default_instrumentation(|| Some(Box::new(Recorder::new(None))))
        .expect("the default instrumentation can be set");
}

/// Runs `work`, and returns its value with the statements that this thread sent meanwhile.
///
/// Calls may nest. The outer log has the statements of the inner one too.
///
/// # Panics
/// When no connection can be recorded, because neither [`install`] nor [`QueryLog::attach`] was called. An empty log
/// would let every test pass.
pub fn record<T>(work: impl FnOnce() -> T) -> (T, Log) {
    let (value, log) = recorder::in_scope(false, work);
    assert!(
        recorder::has_recorder(),
        "no connection is recorded: call feed_perf::log::install() before the first connection is opened"
    );
    (value, log)
}

/// Runs `work` and asserts that it sends exactly `expected` statements from this thread.
///
/// # Panics
/// When it sends more or fewer. The message lists them. Also as [`record`].
#[track_caller]
pub fn assert_queries<T>(expected: usize, work: impl FnOnce() -> T) -> T {
    let (value, log) = record(work);
    let sent = log.len();
    assert!(sent == expected, "expected {expected} statements, {sent} were sent:\n{log}");
    value
}
