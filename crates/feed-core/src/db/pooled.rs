//! A connection of a pool: it runs work within time limits, and notices when it is lost.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::result::DatabaseErrorKind;

use super::cancel::CancelToken;
use super::connection::Db;
use super::limits::WorkLimit;
use super::{deadline, failure, meter};
use crate::error::{Error, Result};

/// A connection of a pool.
#[derive(Debug)]
pub(super) struct Pooled {
    pub(super) db: Db,
    /// The statement timeout that is set on the server.
    statement: Option<Duration>,
    /// The identity of the server's session: see [`super::session`]. It is empty for SQLite, which has no sessions.
    session: String,
    /// A statement found the connection closed or read-only. Diesel itself notices a closed connection only in
    /// transactions.
    pub(super) is_lost: bool,
}

impl Pooled {
    /// A new connection, on which no timeout is set yet.
    pub(super) fn new(db: Db, session: String) -> Self {
        Self { db, statement: None, session, is_lost: false }
    }

    /// Runs `work` within its time limit, and marks the connection as lost where a statement finds it so.
    pub(super) fn run<T>(&mut self, limit: &WorkLimit, work: impl FnOnce(&mut Db) -> Result<T>) -> Result<T> {
        let is_set = self.set_timeouts(limit.statement);
        let (answer, failed) = meter::with_last_failure(|| {
            is_set.and_then(|()| match &limit.cancel {
                None => deadline::run_until(limit.stop_condition(), || work(&mut self.db)),
                Some(cancel) => self.run_cancellable(cancel, limit, work),
            })
        });
        self.is_lost |= matches!(&answer, Err(Error::Unavailable(cause)) if is_useless(cause.as_ref()));
        match self.db {
            Db::Sqlite(_) => answer,
            Db::Postgres(_) => answer.map_err(|error| failure::classified(error, failed, limit.statement)),
        }
    }

    /// Runs `work` until it ends or is cancelled.
    fn run_cancellable<T>(
        &mut self,
        cancel: &CancelToken,
        limit: &WorkLimit,
        work: impl FnOnce(&mut Db) -> Result<T>,
    ) -> Result<T> {
        /// While this lives, the session may be cancelled. Its drop ends that, however the work ends.
        struct Running<'a>(&'a CancelToken, &'a mut bool);
        impl Drop for Running<'_> {
            fn drop(&mut self) {
                *self.1 |= !self.0.end();
            }
        }
        if !cancel.begin(&self.session) {
            return Err(Error::TimedOut("the read was cancelled before it began".into()));
        }
        let _running = Running(cancel, &mut self.is_lost);
        deadline::run_until(limit.stop_condition(), || work(&mut self.db)).map_err(|error| match error {
            // PostgreSQL reports a cancellation in the server's language, so its text is not recognised elsewhere.
            Error::Internal(cause) if cancel.is_cancelled() => Error::TimedOut(cause),
            other => other,
        })
    }

    /// Sets the server's timeouts for statements and locks: a round trip where they differ from those that are set.
    fn set_timeouts(&mut self, statement: Option<Duration>) -> Result<()> {
        if let Db::Postgres(connection) = &mut self.db
            && self.statement != statement
        {
            // PostgreSQL takes 0 for no limit.
            let ms = |time: Duration| time.as_millis().max(1);
            let (statement_ms, lock_ms) =
                statement.map_or((0, 0), |time| (ms(time), ms(failure::lock_limit(time))));
            let settings = format!("SET statement_timeout = {statement_ms}; SET lock_timeout = {lock_ms}");
            meter::uncounted(|| connection.batch_execute(&settings))?;
            self.statement = statement;
        }
        Ok(())
    }
}

/// Whether the server has closed the connection or accepts no writes on it.
///
/// A new connection may lead to another server, which does.
fn is_useless(cause: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(
        cause.downcast_ref(),
        Some(diesel::result::Error::DatabaseError(
            DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::ReadOnlyTransaction,
            _
        ))
    )
}
