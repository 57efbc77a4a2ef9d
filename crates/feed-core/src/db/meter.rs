//! Measures database usage: the number of statements, their duration, and the wait for a connection.
//!
//! The counters belong to the thread. They cost some 100 ns a statement and record no statement texts. Every event is
//! passed on to Diesel's default instrumentation; tests use this for the query log of feed-perf.

use std::cell::Cell;
use std::ops::{Add, AddAssign};
use std::time::{Duration, Instant};

use diesel::connection::{Instrumentation, InstrumentationEvent, get_default_instrumentation};

/// The database usage of some work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// The number of statements, without BEGIN, COMMIT, ROLLBACK and settings of the connection.
    pub statements: u32,
    /// The time from sending each statement to its last row, with BEGIN and COMMIT.
    pub database: Duration,
    /// The time spent waiting for connections from the pool.
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
    /// The usage of this thread since [`measured`] began.
    static USAGE: Cell<Usage> = const { Cell::new(Usage {
        statements: 0,
        database: Duration::ZERO,
        waiting: Duration::ZERO,
    }) };
}

thread_local! {
    /// The duration of the last failed statement of this thread.
    static FAILED: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Runs `work`, and returns the duration of the last statement that failed in it, if any.
pub(super) fn with_last_failure<T>(work: impl FnOnce() -> T) -> (T, Option<Duration>) {
    FAILED.set(None);
    let value = work();
    (value, FAILED.take())
}

/// Runs `work`, and returns the database usage of this thread meanwhile.
///
/// Calls do not nest: an outer call does not report the usage of an inner one.
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, Usage) {
    USAGE.set(Usage::default());
    let value = work();
    (value, USAGE.take())
}

pub(super) fn add(usage: Usage) {
    USAGE.set(USAGE.get() + usage);
}

/// Runs `work` without counting its usage. It serves the connection itself, such as a change of its settings.
pub(super) fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let before = USAGE.get();
    let value = work();
    USAGE.set(before);
    value
}

/// Counts the statements of one connection, for the thread that uses it.
pub(super) struct Meter {
    started: Option<Instant>,
    /// Whether the next statement is transaction control.
    is_control: bool,
    /// Diesel's default instrumentation.
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
                // Do not record a failed rollback: it is not a statement of the work.
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
