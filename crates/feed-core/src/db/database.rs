//! A database with its pools.

use std::time::{Duration, Instant};

use diesel::RunQueryDsl;
use diesel::sql_types::Text;

use super::cancel::CancelToken;
use super::connection::Db;
use super::limits::{CONTROL, Limits, WorkLimit};
use super::manager::{Access, Manager};
use super::meter::{self, Usage};
use super::pooled::Pooled;
use super::session;
use super::url::{DatabaseUrl, without_secrets};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::migrate;

/// A database could not be opened. The message is one line for the operator.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the database {url}: {reason}")]
pub struct OpenError {
    url: DatabaseUrl,
    reason: String,
}

/// The number of connections in a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Open connections.
    pub connections: u32,
    /// Open connections that are not in use.
    pub idle: u32,
    /// The largest number of open connections.
    pub most: u32,
}

/// An open database: a pool of readers and, on SQLite, one writer.
///
/// PostgreSQL has one pool for both. A control connection is kept apart for [`Database::check`]. Clones share all of
/// them.
#[derive(Debug, Clone)]
pub struct Database {
    pub(super) url: DatabaseUrl,
    readers: r2d2::Pool<Manager>,
    writers: r2d2::Pool<Manager>,
    control: r2d2::Pool<Manager>,
    limits: Limits,
    cancel: Option<CancelToken>,
}

impl Database {
    /// Opens the database with at most `connections` readers; on PostgreSQL, with at most `connections` in all.
    ///
    /// A missing SQLite file is created, readable only by its owner. Its folder must exist.
    ///
    /// # Errors
    /// When the folder does not exist, the file is not a SQLite database, the server does not answer, its database is
    /// not encoded in UTF8, or the database belongs to another application. That database is not changed.
    pub fn open(url: &DatabaseUrl, connections: u32) -> Result<Self, OpenError> {
        let fail =
            |reason: String| OpenError { url: url.clone(), reason: one_line(&without_secrets(&reason, url)) };
        if let DatabaseUrl::Sqlite(path) = url {
            let folder = std::path::Path::new(path).parent().filter(|p| !p.as_os_str().is_empty());
            if let Some(folder) = folder.filter(|p| !p.is_dir()) {
                return Err(fail(format!("there is no folder {}", folder.display())));
            }
        }
        // A pool would only report a timeout. Open the first connection without it to get the actual error.
        let manager = Manager { url: url.clone(), access: Access::Write };
        let mut first = manager.connect_bare().map_err(|e| fail(e.to_string()))?;
        if let Db::Postgres(connection) = &mut first {
            let encoding = diesel::select(diesel::dsl::sql::<Text>("current_setting('server_encoding')"))
                .get_result::<String>(connection)
                .map_err(|e| fail(e.to_string()))?;
            if encoding != "UTF8" {
                return Err(fail(format!("its encoding is {encoding}, and must be UTF8")));
            }
        }
        if migrate::is_foreign(&mut first).map_err(|e| fail(cause(&e)))? {
            return Err(fail(
                "it has another application's tables: use a database of its own for this service".into(),
            ));
        }
        manager.set_up(&mut first).map_err(|e| fail(e.to_string()))?;
        drop(first);

        let pool = |access, size: u32, idle: u32| {
            r2d2::Pool::builder()
                .max_size(size)
                .min_idle(Some(idle))
                .connection_timeout(Limits::default().connection)
                // A ping before each use would cost a round trip a request. `read` retries instead.
                .test_on_check_out(false)
                .build(Manager { url: url.clone(), access })
                .map_err(|e| fail(e.to_string()))
        };
        let writers = match url.engine() {
            Engine::Sqlite => pool(Access::Write, 1, 1)?,
            Engine::Postgres => pool(Access::Write, connections, 1)?,
        };
        let readers = match url.engine() {
            Engine::Sqlite => pool(Access::Read, connections, 1)?,
            Engine::Postgres => writers.clone(),
        };
        // Opened on first use, because commands do not need it.
        let control = pool(Access::Read, 1, 0)?;
        Ok(Self { url: url.clone(), readers, writers, control, limits: Limits::default(), cancel: None })
    }

    /// The same pools, with other limits.
    #[must_use]
    pub fn limited(&self, limits: Limits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// The same pools, without a limit for statements.
    #[must_use]
    pub fn unhurried(&self) -> Self {
        self.limited(Limits { statement: None, ..self.limits })
    }

    /// The same pools, for reads that end when [`Database::cancel`] is called with this token.
    #[must_use]
    pub fn cancelled_by(&self, token: CancelToken) -> Self {
        Self { cancel: Some(token), ..self.clone() }
    }

    /// The database engine.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.url.engine()
    }

    /// Runs `work`, which only reads, with a connection from the pool.
    ///
    /// If the server has closed the connection, `work` runs once more on a new one.
    ///
    /// # Errors
    /// What `work` returns; [`Error::Unavailable`] when no connection is free in time or the database cannot be
    /// reached; [`Error::TimedOut`] when a statement exceeds its limit or the read is cancelled.
    pub fn read<T>(&self, work: impl Fn(&mut Db) -> Result<T>) -> Result<T> {
        self.read_from(&self.readers, work)
    }

    /// Runs `work`, which only reads, on the control connection.
    ///
    /// Other work never uses this connection, so pools whose connections are all in use do not delay it. It has its own
    /// limits: a second to get the connection, and a second for each statement.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub fn check<T>(&self, work: impl Fn(&mut Db) -> Result<T>) -> Result<T> {
        let apart = Self { limits: CONTROL, cancel: None, ..self.clone() };
        apart.read_from(&self.control, work)
    }

    /// Ends the reads that run under this token, and prevents new ones.
    ///
    /// SQLite checks the token itself, after every 20 microseconds or so of work. On PostgreSQL this sends cancel
    /// requests over the control connection, a round trip each, until the reads have ended or the server does not
    /// answer.
    pub fn cancel(&self, token: &CancelToken) {
        token.cancel();
        // Repeat it: a cancel request has no effect on a read that is between two of its statements.
        for pause in (0..).map(|n: u32| Duration::from_millis(u64::from(n.min(10) * 10))) {
            std::thread::sleep(pause);
            let Some(session) = self.server_session(token) else { return };
            let sent = self.check(|connection| Ok(session::cancel(connection, &session)?));
            token.cancel_was_sent(sent.is_ok());
        }
    }

    fn server_session(&self, token: &CancelToken) -> Option<String> {
        match self.engine() {
            Engine::Sqlite => None,
            Engine::Postgres => token.start_sending(),
        }
    }

    fn read_from<T>(&self, pool: &r2d2::Pool<Manager>, work: impl Fn(&mut Db) -> Result<T>) -> Result<T> {
        let mut lent = self.lend(pool)?;
        let limit = WorkLimit { cancel: self.cancel.clone(), ..WorkLimit::starting_now(self.limits) };
        let answer = lent.run(&limit, &work);
        let is_cancelled = limit.cancel.as_ref().is_some_and(CancelToken::is_cancelled);
        if lent.is_lost && !is_cancelled {
            self.reconnect(&mut lent)?;
            return lent.run(&limit, &work);
        }
        answer
    }

    /// Runs `work` in one transaction, with a connection from the pool: see [`Db::write`].
    ///
    /// If the transaction cannot begin because the server has closed the connection, it begins on a new one. Work that
    /// has begun is not repeated, because the server may have committed it.
    ///
    /// # Errors
    /// What `work` returns; [`Error::Unavailable`] when no connection is free in time or the database cannot be
    /// reached; [`Error::TimedOut`] when a statement exceeds its limit.
    pub fn write<T>(&self, work: impl FnOnce(&mut Db) -> Result<T>) -> Result<T> {
        let mut lent = self.lend(&self.writers)?;
        let limit = WorkLimit::starting_now(self.limits);
        let mut begun = lent.run(&limit, Db::begin);
        if lent.is_lost {
            self.reconnect(&mut lent)?;
            begun = lent.run(&limit, Db::begin);
        }
        begun?;
        lent.run(&limit, |connection| connection.commit_after(work))
    }

    /// Replaces a lost connection by a new one.
    ///
    /// If that fails, the pool drops the lost connection when it is returned.
    fn reconnect(&self, lost: &mut Pooled) -> Result<()> {
        let manager = Manager { url: self.url.clone(), access: Access::Write };
        // A server that ends all connections may end the new one too while it is set up.
        let fresh = manager.pooled().or_else(|_| manager.pooled());
        *lost = fresh.map_err(|e| Error::Unavailable(Box::new(e)))?;
        Ok(())
    }

    /// Runs `work` with a connection that may write, without a transaction and without statement limits.
    ///
    /// Migrations and bulk loads need this.
    ///
    /// # Errors
    /// What `work` returns; [`Error::Unavailable`] when no connection is free in time.
    pub fn with_writer<T>(&self, work: impl FnOnce(&mut Db) -> Result<T>) -> Result<T> {
        let unlimited = self.limited(Limits::default());
        unlimited.lend(&self.writers)?.run(&WorkLimit::starting_now(unlimited.limits), work)
    }

    fn lend(&self, pool: &r2d2::Pool<Manager>) -> Result<r2d2::PooledConnection<Manager>> {
        let started = Instant::now();
        let lent = pool.get_timeout(self.limits.connection);
        meter::add(Usage { waiting: started.elapsed(), ..Usage::default() });
        lent.map_err(|e| Error::Unavailable(Box::new(e)))
    }

    /// The current state of the pools by name: `readers` and `writer` on SQLite, `connections` on PostgreSQL.
    #[must_use]
    pub fn pools(&self) -> Vec<(&'static str, PoolState)> {
        let state = |pool: &r2d2::Pool<Manager>| {
            let r2d2::State { connections, idle_connections, .. } = pool.state();
            PoolState { connections, idle: idle_connections, most: pool.max_size() }
        };
        match self.engine() {
            Engine::Sqlite => vec![("readers", state(&self.readers)), ("writer", state(&self.writers))],
            Engine::Postgres => vec![("connections", state(&self.writers))],
        }
    }
}

/// The database's own message behind an error.
fn cause(error: &Error) -> String {
    std::error::Error::source(error).unwrap_or(error).to_string()
}

/// The text in one line. libpq's messages have several.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
