//! A query log for Diesel projects: which statements a piece of code sends, and how long each takes.
//!
//! ```
//! use diesel::prelude::*;
//! use feed_perf::QueryLog;
//!
//! let mut connection = diesel::SqliteConnection::establish(":memory:")?;
//! let log = QueryLog::attach(&mut connection);
//! diesel::sql_query("SELECT 1").execute(&mut connection)?;
//! let statements = log.take();
//! assert_eq!(statements.len(), 1);
//! assert_eq!(statements[0].sql, "SELECT 1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::Connection;
use diesel::connection::{Instrumentation, InstrumentationEvent};

/// A statement that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its text, without the values of its binds.
    pub sql: String,
    /// From sending it to its last row.
    pub time: Duration,
}

/// The statements of one connection, from [`QueryLog::attach`] on.
///
/// Transaction control (BEGIN, COMMIT, ROLLBACK, SAVEPOINT, SET) is not counted. Clones share the log.
#[derive(Debug, Clone, Default)]
pub struct QueryLog {
    statements: Arc<Mutex<Vec<Statement>>>,
}

impl QueryLog {
    /// Records what `connection` sends from now on, in place of any instrumentation that it has.
    pub fn attach(connection: &mut impl Connection) -> Self {
        let log = Self::default();
        connection.set_instrumentation(Recorder { log: log.clone(), running: None });
        log
    }

    /// The statements since the last call, oldest first.
    #[must_use]
    pub fn take(&self) -> Vec<Statement> {
        // A panic while the lock is held cannot leave half a statement behind.
        std::mem::take(&mut *self.statements.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, statement: Statement) {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).push(statement);
    }
}

struct Recorder {
    log: QueryLog,
    running: Option<(String, Instant)>,
}

impl Instrumentation for Recorder {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { query, .. } => {
                let text = query.to_string();
                let sql = text.split_once(" -- binds:").map_or(text.as_str(), |(sql, _)| sql).trim();
                self.running = Some((sql.to_owned(), Instant::now()));
            }
            InstrumentationEvent::FinishQuery { .. } => {
                if let Some((sql, started)) = self.running.take().filter(|(sql, _)| !is_control(sql)) {
                    self.log.push(Statement { sql, time: started.elapsed() });
                }
            }
            _ => {}
        }
    }
}

fn is_control(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default();
    ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET"]
        .iter()
        .any(|control| first.eq_ignore_ascii_case(control))
}
