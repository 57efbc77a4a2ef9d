//! Receives the events of connections, and writes the statements to the logs that record them.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use diesel::connection::{DebugQuery, Instrumentation, InstrumentationEvent};

use super::{Log, Statement, Transaction};
use crate::binds;
use crate::sql::{kind, normalize};
use crate::sqlite_trace::SqliteCounters;

thread_local! {
    static THREAD: RefCell<ThreadState> = RefCell::default();
}

/// Whether any connection has ever had a [`Recorder`].
static HAS_RECORDER: AtomicBool = AtomicBool::new(false);

/// The logs of the whole process. A log that nobody holds any more is removed.
static PROCESS_LOGS: Mutex<Vec<Weak<Mutex<Log>>>> = Mutex::new(Vec::new());

/// The number of [`PROCESS_LOGS`]. While it is 0, statements need not take their lock.
static PROCESS_LOG_COUNT: AtomicUsize = AtomicUsize::new(0);

/// A log that several threads may write to.
pub(super) type SharedLog = Arc<Mutex<Log>>;

/// Locks `mutex`. It ignores poisoning, because no panic can interrupt a change of a log.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The recording state of one thread.
#[derive(Default)]
struct ThreadState {
    /// The number of open scopes.
    scopes: usize,
    /// The number of open private scopes.
    private_scopes: usize,
    /// The log that all open scopes share. Each scope knows where its own part starts.
    log: Log,
    /// Statements that have started. There are several if code sends others while it still reads rows.
    running: Vec<RunningStatement>,
}

struct RunningStatement {
    id: u64,
    sql: String,
    binds: String,
    started: Instant,
    counters: Option<SqliteCounters>,
    /// The rows so far, by the address of the SQLite statement. A batch has several SQLite statements.
    rows: Vec<(usize, u64)>,
}

impl ThreadState {
    fn take_running(&mut self, id: u64) -> Option<RunningStatement> {
        let at = self.running.iter().position(|running| running.id == id)?;
        Some(self.running.remove(at))
    }
}

/// A recording scope of the current thread. It ends when it is dropped, also on a panic, and the innermost ends first.
struct Scope {
    is_private: bool,
    /// The length of the thread's log when the scope began.
    first_statement: usize,
    first_transaction: usize,
}

impl Scope {
    fn enter(is_private: bool) -> Self {
        THREAD.with_borrow_mut(|thread| {
            thread.scopes += 1;
            thread.private_scopes += usize::from(is_private);
            Self {
                is_private,
                first_statement: thread.log.statements.len(),
                first_transaction: thread.log.transactions.len(),
            }
        })
    }

    fn log(&self) -> Log {
        THREAD.with_borrow(|thread| Log {
            statements: thread.log.statements[self.first_statement..].to_vec(),
            transactions: thread.log.transactions[self.first_transaction..].to_vec(),
        })
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        THREAD.with_borrow_mut(|thread| {
            thread.scopes -= 1;
            thread.private_scopes -= usize::from(self.is_private);
            if self.is_private || thread.scopes == 0 {
                thread.log.statements.truncate(self.first_statement);
                thread.log.transactions.truncate(self.first_transaction);
            }
        });
    }
}

/// Runs `work` in a new scope and returns what it sent. Statements of a private scope reach no other log.
pub(crate) fn in_scope<T>(is_private: bool, work: impl FnOnce() -> T) -> (T, Log) {
    let scope = Scope::enter(is_private);
    let value = work();
    let log = scope.log();
    (value, log)
}

pub(super) fn has_recorder() -> bool {
    HAS_RECORDER.load(Ordering::Relaxed)
}

/// Creates a log that records every thread of the process from now on.
pub(super) fn process_log() -> SharedLog {
    let log = SharedLog::default();
    let mut logs = lock(&PROCESS_LOGS);
    logs.retain(|log| log.strong_count() > 0);
    logs.push(Arc::downgrade(&log));
    PROCESS_LOG_COUNT.store(logs.len(), Ordering::Relaxed);
    log
}

/// The instrumentation of one connection.
pub(super) struct Recorder {
    /// The log of this connection alone, if there is one.
    own: Option<SharedLog>,
    running: Option<u64>,
}

impl Recorder {
    pub(super) fn new(own: Option<SharedLog>) -> Self {
        HAS_RECORDER.store(true, Ordering::Relaxed);
        Self { own, running: None }
    }

    /// Whether any log records this connection now. If not, the statement's text is not formatted, because that costs
    /// more than many statements take.
    fn is_recorded(&self) -> bool {
        self.own.is_some()
            || PROCESS_LOG_COUNT.load(Ordering::Relaxed) > 0
            || THREAD.with_borrow(|thread| thread.scopes > 0)
    }

    fn start(&mut self, query: &dyn DebugQuery) {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        // Diesel reports no end of a statement whose binds it could not serialize.
        if let Some(unfinished) = self.running.take() {
            THREAD.with_borrow_mut(|thread| thread.take_running(unfinished));
        }
        let Some((sql, binds)) = sql_and_binds(query) else { return };
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        self.running = Some(id);
        THREAD.with_borrow_mut(|thread| {
            let started = Instant::now();
            thread.running.push(RunningStatement {
                id,
                sql,
                binds,
                started,
                counters: None,
                rows: Vec::new(),
            });
        });
    }

    fn finish(&mut self, failed: bool) {
        let Some(id) = self.running.take() else { return };
        // `None` if it started on another thread.
        let Some(running) = THREAD.with_borrow_mut(|thread| thread.take_running(id)) else { return };
        let Some(kind) = kind(&running.sql) else { return };
        let statement = Statement {
            normalized: normalize(&running.sql),
            time: running.started.elapsed(),
            sql: running.sql,
            binds: running.binds,
            kind,
            failed,
            counters: running.counters,
        };
        self.append(|log| log.statements.push(statement.clone()));
    }

    /// Writes to every log that records this connection.
    fn append(&self, write: impl Fn(&mut Log)) {
        let is_private = THREAD.with_borrow_mut(|thread| {
            if thread.scopes > 0 {
                write(&mut thread.log);
            }
            thread.private_scopes > 0
        });
        if is_private {
            return;
        }
        if let Some(own) = &self.own {
            write(&mut lock(own));
        }
        if PROCESS_LOG_COUNT.load(Ordering::Relaxed) > 0 {
            let mut logs = lock(&PROCESS_LOGS);
            logs.retain(|log| log.upgrade().map(|log| write(&mut lock(&log))).is_some());
            PROCESS_LOG_COUNT.store(logs.len(), Ordering::Relaxed);
        }
    }
}

impl Instrumentation for Recorder {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { query, .. } if self.is_recorded() => self.start(query),
            InstrumentationEvent::FinishQuery { error, .. } => self.finish(error.is_some()),
            InstrumentationEvent::BeginTransaction { depth, .. } => {
                self.append(|log| log.transactions.push(Transaction::Begin(depth.get())));
            }
            InstrumentationEvent::CommitTransaction { depth, .. } => {
                self.append(|log| log.transactions.push(Transaction::Commit(depth.get())));
            }
            InstrumentationEvent::RollbackTransaction { depth, .. } => {
                self.append(|log| log.transactions.push(Transaction::Rollback(depth.get())));
            }
            _ => {}
        }
    }
}

/// The SQL of a query and the debug text of its binds.
///
/// It parses the `Debug` form, which has the SQL in quotes. The `Display` form separates SQL and binds by `--
/// binds:`, and both may contain that text.
///
/// `None` if Diesel cannot build the query. It does not panic, so that the caller gets Diesel's own error.
pub(crate) fn sql_and_binds(query: &dyn DebugQuery) -> Option<(String, String)> {
    let mut debug = String::new();
    write!(debug, "{query:?}").ok()?;
    Some(binds::split_debug_query(&debug).unwrap_or_else(|| (debug, "[]".to_owned())))
}

/// Counts a row that SQLite returned for `statement`, the address of a SQLite statement.
pub(crate) fn sqlite_row(statement: usize) {
    with_thread(|thread| {
        // The innermost statement, because it returns its rows before the outer one continues.
        let Some(running) = thread.running.last_mut() else { return };
        match running.rows.iter_mut().find(|(address, _)| *address == statement) {
            Some((_, rows)) => *rows += 1,
            None => running.rows.push((statement, 1)),
        }
    });
}

/// Adds the counters of a finished run of `statement` to the running statement whose text contains `sql`.
pub(crate) fn sqlite_profile(statement: usize, sql: &[u8], counters: SqliteCounters) {
    with_thread(|thread| {
        let mut rows = 0;
        for running in &mut thread.running {
            running.rows.retain(|(address, count)| {
                let is_this = *address == statement;
                rows += if is_this { *count } else { 0 };
                !is_this
            });
        }
        let sql = sql.trim_ascii();
        // A statement of a batch is a part of the recorded text.
        let is_in = |text: &str| {
            sql.len() <= text.len() && text.as_bytes().windows(sql.len().max(1)).any(|w| w == sql)
        };
        if let Some(running) = thread.running.iter_mut().rev().find(|running| is_in(&running.sql)) {
            *running.counters.get_or_insert_default() += SqliteCounters { rows, ..counters };
        }
    });
}

/// Runs `work` on the thread's state, or nothing if it is not available: SQLite may call back while the thread ends,
/// and a callback from C must not panic.
fn with_thread(work: impl FnOnce(&mut ThreadState)) {
    let _ = THREAD.try_with(|thread| {
        if let Ok(mut thread) = thread.try_borrow_mut() {
            work(&mut thread);
        }
    });
}
