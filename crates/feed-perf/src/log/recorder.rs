//! Where the events of connections arrive, and how they find those who listen.

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
    static THREAD: RefCell<Thread> = RefCell::default();
}

/// Whether any connection has ever been told to report.
static IS_CONNECTED: AtomicBool = AtomicBool::new(false);

/// The logs of the whole process, for as long as somebody holds them.
static PROCESS_LOGS: Mutex<Vec<Weak<Mutex<Log>>>> = Mutex::new(Vec::new());

/// How many those are, so that nobody waits for the lock where there are none.
static PROCESS_LOG_COUNT: AtomicUsize = AtomicUsize::new(0);

/// A log that several may write to.
pub(super) type SharedLog = Arc<Mutex<Log>>;

/// Locks `mutex`, which no panic can leave with half a change.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happens on one thread.
#[derive(Default)]
struct Thread {
    /// How many scopes are open.
    scopes: usize,
    /// And how many of them are private.
    private_scopes: usize,
    /// What the scopes have seen: each from its start on.
    seen: Log,
    /// Statements that have begun; more than one where a reader goes through rows and sends others meanwhile.
    running: Vec<Running>,
}

struct Running {
    id: u64,
    sql: String,
    binds: String,
    started: Instant,
    counters: Option<SqliteCounters>,
    /// Rows so far of the SQLite statements within, by their address: a batch has several.
    rows: Vec<(usize, u64)>,
}

impl Thread {
    fn take_running(&mut self, id: u64) -> Option<Running> {
        let at = self.running.iter().position(|running| running.id == id)?;
        Some(self.running.remove(at))
    }
}

/// A scope of the current thread, which ends where it is dropped: on a panic too, and always the innermost
/// first.
struct Scope {
    is_private: bool,
    /// How much the thread had seen when it began.
    statements: usize,
    transactions: usize,
}

impl Scope {
    fn enter(is_private: bool) -> Self {
        THREAD.with_borrow_mut(|thread| {
            thread.scopes += 1;
            thread.private_scopes += usize::from(is_private);
            Self {
                is_private,
                statements: thread.seen.statements.len(),
                transactions: thread.seen.transactions.len(),
            }
        })
    }

    fn log(&self) -> Log {
        THREAD.with_borrow(|thread| Log {
            statements: thread.seen.statements[self.statements..].to_vec(),
            transactions: thread.seen.transactions[self.transactions..].to_vec(),
        })
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        THREAD.with_borrow_mut(|thread| {
            thread.scopes -= 1;
            thread.private_scopes -= usize::from(self.is_private);
            if self.is_private || thread.scopes == 0 {
                thread.seen.statements.truncate(self.statements);
                thread.seen.transactions.truncate(self.transactions);
            }
        });
    }
}

/// Runs `work` in a scope of its own. What a private one sees, nobody else does.
pub(crate) fn in_scope<T>(is_private: bool, work: impl FnOnce() -> T) -> (T, Log) {
    let scope = Scope::enter(is_private);
    let value = work();
    let log = scope.log();
    (value, log)
}

pub(super) fn is_connected() -> bool {
    IS_CONNECTED.load(Ordering::Relaxed)
}

/// A log of everything that any thread of the process runs from now on.
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
    /// The log of this connection alone, if somebody asked for one.
    own: Option<SharedLog>,
    running: Option<u64>,
}

impl Recorder {
    pub(super) fn new(own: Option<SharedLog>) -> Self {
        IS_CONNECTED.store(true, Ordering::Relaxed);
        Self { own, running: None }
    }

    /// Writing a statement down costs more than many a statement takes: not where nobody listens.
    fn is_heard(&self) -> bool {
        self.own.is_some()
            || PROCESS_LOG_COUNT.load(Ordering::Relaxed) > 0
            || THREAD.with_borrow(|thread| thread.scopes > 0)
    }

    fn start(&mut self, query: &dyn DebugQuery) {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        // Diesel tells no end of a statement whose binds it could not serialize.
        if let Some(unfinished) = self.running.take() {
            THREAD.with_borrow_mut(|thread| thread.take_running(unfinished));
        }
        let Some((sql, binds)) = written(query) else { return };
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        self.running = Some(id);
        THREAD.with_borrow_mut(|thread| {
            let started = Instant::now();
            thread.running.push(Running { id, sql, binds, started, counters: None, rows: Vec::new() });
        });
    }

    fn finish(&mut self, failed: bool) {
        let Some(id) = self.running.take() else { return };
        // None: it began on another thread.
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
        self.tell(|log| log.statements.push(statement.clone()));
    }

    fn tell(&self, write: impl Fn(&mut Log)) {
        let is_private = THREAD.with_borrow_mut(|thread| {
            if thread.scopes > 0 {
                write(&mut thread.seen);
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
            InstrumentationEvent::StartQuery { query, .. } if self.is_heard() => self.start(query),
            InstrumentationEvent::FinishQuery { error, .. } => self.finish(error.is_some()),
            InstrumentationEvent::BeginTransaction { depth, .. } => {
                self.tell(|log| log.transactions.push(Transaction::Begin(depth.get())));
            }
            InstrumentationEvent::CommitTransaction { depth, .. } => {
                self.tell(|log| log.transactions.push(Transaction::Commit(depth.get())));
            }
            InstrumentationEvent::RollbackTransaction { depth, .. } => {
                self.tell(|log| log.transactions.push(Transaction::Rollback(depth.get())));
            }
            _ => {}
        }
    }
}

/// The text of a query and of its binds.
///
/// Read from the `Debug` form, where the text is in quotes: in the other one it runs on into `-- binds:`,
/// which may be part of either.
///
/// None where the query cannot be built, and so not printed: Diesel's own error tells more than a panic here.
pub(crate) fn written(query: &dyn DebugQuery) -> Option<(String, String)> {
    let mut debug = String::new();
    write!(debug, "{query:?}").ok()?;
    Some(binds::split_debug_query(&debug).unwrap_or_else(|| (debug, "[]".to_owned())))
}

/// SQLite has answered a row of `statement`.
pub(crate) fn sqlite_row(statement: usize) {
    with_thread(|thread| {
        // The innermost: a statement that runs inside of another one answers first.
        let Some(running) = thread.running.last_mut() else { return };
        match running.rows.iter_mut().find(|(address, _)| *address == statement) {
            Some((_, rows)) => *rows += 1,
            None => running.rows.push((statement, 1)),
        }
    });
}

/// SQLite has ended a run of `statement`, whose text is `sql`.
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
        // Part of it, where it is one of a batch.
        let is_in = |text: &str| {
            sql.len() <= text.len() && text.as_bytes().windows(sql.len().max(1)).any(|w| w == sql)
        };
        if let Some(running) = thread.running.iter_mut().rev().find(|running| is_in(&running.sql)) {
            *running.counters.get_or_insert_default() += SqliteCounters { rows, ..counters };
        }
    });
}

/// For the callbacks out of C, which must not panic: they may come while the thread ends.
fn with_thread(work: impl FnOnce(&mut Thread)) {
    let _ = THREAD.try_with(|thread| {
        if let Ok(mut thread) = thread.try_borrow_mut() {
            work(&mut thread);
        }
    });
}
