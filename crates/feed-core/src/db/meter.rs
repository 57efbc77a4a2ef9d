//! What work takes of the database: how many statements, and how long they and the wait for a connection last.
//!
//! A counter of the thread, so that it costs some 100 ns a statement and writes nothing down; tests that want to know
//! which statements they were use the query log of feed-perf, which every event is handed on to.

use std::cell::Cell;
use std::ops::{Add, AddAssign};
use std::time::{Duration, Instant};

use diesel::connection::{Instrumentation, InstrumentationEvent, get_default_instrumentation};

/// What some work has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Statements sent; BEGIN, COMMIT, ROLLBACK and settings of the connection are none.
    pub statements: u32,
    /// From sending each statement to its last row, BEGIN and COMMIT included.
    pub database: Duration,
    /// Waiting for connections of the pool.
    pub waiting: Duration,
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            statements: self.statements + other.statements,
            database: self.database + other.database,
            waiting: self.waiting + other.waiting,
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

thread_local! {
    /// What this thread's work has taken since [`measured`] began.
    static USAGE: Cell<Usage> = const { Cell::new(Usage {
        statements: 0,
        database: Duration::ZERO,
        waiting: Duration::ZERO,
    }) };
}

thread_local! {
    /// How long the statement took that failed last on this thread.
    static FAILED: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Does `work`, and tells how long the last statement took that failed in it, where one did.
pub(super) fn with_last_failure<T>(work: impl FnOnce() -> T) -> (T, Option<Duration>) {
    FAILED.set(None);
    let value = work();
    (value, FAILED.take())
}

/// Does `work`, and tells what this thread took of any database meanwhile.
///
/// Scopes do not nest: what an inner one has seen is not told by the outer one.
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, Usage) {
    USAGE.set(Usage::default());
    let value = work();
    (value, USAGE.take())
}

pub(super) fn add(usage: Usage) {
    USAGE.set(USAGE.get() + usage);
}

/// Does `work` for the connection itself.
pub(super) fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let before = USAGE.get();
    let value = work();
    USAGE.set(before);
    value
}

/// Counts the statements of one connection for the thread that uses it.
pub(super) struct Meter {
    started: Option<Instant>,
    /// The statement that comes next is transaction control.
    is_control: bool,
    /// What connections report to by default.
    next: Option<Box<dyn Instrumentation>>,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { started: None, is_control: false, next: get_default_instrumentation() }
    }
}

impl Instrumentation for Meter {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::BeginTransaction { .. }
            | InstrumentationEvent::CommitTransaction { .. }
            | InstrumentationEvent::RollbackTransaction { .. } => self.is_control = true,
            InstrumentationEvent::StartQuery { .. } => self.started = Some(Instant::now()),
            InstrumentationEvent::FinishQuery { error, .. } => {
                let is_control = std::mem::take(&mut self.is_control);
                let statements = u32::from(!is_control);
                let database = self.started.take().map(|started| started.elapsed()).unwrap_or_default();
                // A rollback that fails, too, is none of the work.
                if error.is_some() && !is_control {
                    FAILED.set(Some(database));
                }
                add(Usage { statements, database, waiting: Duration::ZERO });
            }
            _ => {}
        }
        if let Some(next) = &mut self.next {
            next.on_connection_event(event);
        }
    }
}
