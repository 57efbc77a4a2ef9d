//! Time limits of reads and writes.

use std::time::{Duration, Instant};

use super::cancel::CancelToken;
use super::deadline::StopCondition;

/// Time limits of a read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a statement may run; `None` is no limit. On SQLite it limits all statements of one read or write
    /// together. Waits for locks count. On PostgreSQL the wait for one lock may take half of it.
    pub statement: Option<Duration>,
    /// How long to wait for a connection from the pool.
    pub connection: Duration,
}

/// The limits of commands and background work: statements have none.
impl Default for Limits {
    fn default() -> Self {
        Self { statement: None, connection: Duration::from_secs(5) }
    }
}

/// Limits of the control connection: see [`Database::check`](super::Database::check).
pub(super) const CONTROL: Limits =
    Limits { statement: Some(Duration::from_secs(1)), connection: Duration::from_secs(1) };

/// When a read or write must end.
pub(super) struct WorkLimit {
    pub(super) statement: Option<Duration>,
    pub(super) deadline: Option<Instant>,
    pub(super) cancel: Option<CancelToken>,
}

impl WorkLimit {
    /// The limit of work that starts now.
    pub(super) fn starting_now(limits: Limits) -> Self {
        let deadline = limits.statement.and_then(|time| Instant::now().checked_add(time));
        Self { statement: limits.statement, deadline, cancel: None }
    }

    pub(super) fn stop_condition(&self) -> StopCondition {
        StopCondition { deadline: self.deadline, is_cancelled: self.cancel.as_ref().map(CancelToken::flag) }
    }
}
