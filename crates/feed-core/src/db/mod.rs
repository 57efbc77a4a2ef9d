//! Connections to both engines, and the connection pools.
//!
//! A [`Database`] owns the pools. [`Database::read`] and [`Database::write`] take a connection from a pool, apply the
//! time limits and run a closure with it.

mod backup;
mod cancel;
mod connection;
mod deadline;
mod failure;
mod meter;
mod private;
mod rows;
mod url;
mod wal;

use std::time::{Duration, Instant};

use diesel::connection::{InstrumentationEvent, SimpleConnection};
use diesel::r2d2::R2D2Connection;
use diesel::result::DatabaseErrorKind;
use diesel::sql_types::Text;
use diesel::{
    Connection, ConnectionError, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query,
};

use crate::error::{Error, Result};
use crate::{geo, migrate};

pub use crate::engine::Engine;
pub use backup::{BackupError, back_up};
pub use cancel::CancelToken;
pub use connection::{Db, MultiBackend};
use deadline::StopCondition;
use meter::Meter;
pub use meter::{Usage, measured};
pub use private::open_to_all;
pub use rows::TableRows;
#[cfg(feature = "testing")]
pub(crate) use url::Parts;
pub use url::{BadDatabaseUrl, DatabaseUrl};
use url::{with_timeouts, without_secrets};
pub use wal::WAL_LIMIT;

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

/// A database could not be opened. The message is one line for the operator.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the database {url}: {reason}")]
pub struct OpenError {
    url: DatabaseUrl,
    reason: String,
}

/// Limits of the control connection: see [`Database::check`].
const CONTROL: Limits =
    Limits { statement: Some(Duration::from_secs(1)), connection: Duration::from_secs(1) };

/// SQL for the identity of a PostgreSQL session in `pg_stat_activity`.
///
/// A process id alone is not enough. The server reuses ids, and a URL with several hosts may lead to another server.
const SESSION: &str = "(pid || ' ' || extract(epoch FROM backend_start))";

/// What a connection may do. SQLite has one writer and many readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// Opens connections of one kind for a pool.
#[derive(Debug)]
struct Manager {
    url: DatabaseUrl,
    access: Access,
}

impl Manager {
    /// Opens a connection without changing the database or any setting.
    fn connect_bare(&self) -> Result<Db, ConnectionError> {
        Ok(match &self.url {
            DatabaseUrl::Sqlite(path) => {
                // "./" keeps SQLite from taking a relative path for a URI or for `:memory:`.
                let path = if path.starts_with('/') { path.clone() } else { format!("./{path}") };
                deadline::install()?;
                private::create_missing(std::path::Path::new(&path));
                Db::Sqlite(SqliteConnection::establish(&path)?)
            }
            DatabaseUrl::Postgres(url) => Db::Postgres(PgConnection::establish(&with_timeouts(url))?),
        })
    }

    fn establish(&self) -> Result<Db, ConnectionError> {
        let mut db = self.connect_bare()?;
        self.set_up(&mut db)?;
        Ok(db)
    }

    /// A connection for a pool.
    fn pooled(&self) -> Result<Pooled, ConnectionError> {
        let mut db = self.establish()?;
        // No request has sent this statement, so no request's log has it.
        db.set_instrumentation(|_: InstrumentationEvent<'_>| {});
        let session = session(&mut db).map_err(ConnectionError::CouldntSetupConfiguration)?;
        db.set_instrumentation(Meter::new());
        Ok(Pooled { db, statement: None, session, is_lost: false })
    }

    fn set_up(&self, db: &mut Db) -> Result<(), ConnectionError> {
        match db {
            Db::Sqlite(connection) => {
                // WAL: readers and the writer do not wait for each other. FULL: acknowledged writes survive a power
                // cut.
                connection
                    .batch_execute(&format!(
                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                         PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; \
                         PRAGMA journal_size_limit = {WAL_LIMIT};"
                    ))
                    .map_err(ConnectionError::CouldntSetupConfiguration)?;
                if self.access == Access::Read {
                    connection
                        .batch_execute("PRAGMA query_only = ON")
                        .map_err(ConnectionError::CouldntSetupConfiguration)?;
                }
                geo::register(connection).map_err(ConnectionError::CouldntSetupConfiguration)?;
            }
            Db::Postgres(connection) => {
                // Generic plans: PostgreSQL changes to them after five runs anyway, so force them from the first. JIT
                // costs more than these queries take. No plan depends on either: the statements' form holds them (see
                // `crate::sql::by_index`). The application name shows in the server's activity, unless the URL gives
                // another one.
                connection
                    .batch_execute(&format!(
                        "SET plan_cache_mode = force_generic_plan; SET jit = off; SET timezone = 'UTC'; \
                         SELECT set_config('application_name', 'feed-api', false) \
                         WHERE current_setting('application_name') = ''; {}",
                        failure::USE_ENGLISH_MESSAGES
                    ))
                    .map_err(ConnectionError::CouldntSetupConfiguration)?;
            }
        }
        Ok(())
    }
}

/// A connection of a pool.
#[derive(Debug)]
struct Pooled {
    db: Db,
    /// The statement timeout that is set on the server.
    statement: Option<Duration>,
    /// The identity of the server's session: see [`SESSION`]. It is empty for SQLite, which has no sessions.
    session: String,
    /// A statement found the connection closed or read-only. Diesel itself notices a closed connection only in
    /// transactions.
    is_lost: bool,
}

impl Pooled {
    /// Runs `work` within its time limit, and marks the connection as lost where a statement finds it so.
    fn run<T>(&mut self, limit: &WorkLimit, work: impl FnOnce(&mut Db) -> Result<T>) -> Result<T> {
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

/// A row of `pg_stat_activity`.
#[derive(QueryableByName)]
struct Session {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The identity of a connection's session: one round trip.
fn session(db: &mut Db) -> diesel::QueryResult<String> {
    let Db::Postgres(connection) = db else { return Ok(String::new()) };
    let select = format!("SELECT {SESSION} AS name FROM pg_stat_activity WHERE pid = pg_backend_pid()");
    sql_query(select).get_result(connection).map(|Session { name }| name)
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

/// When a read or write must end.
struct WorkLimit {
    statement: Option<Duration>,
    deadline: Option<Instant>,
    cancel: Option<CancelToken>,
}

impl WorkLimit {
    /// The limit of work that starts now.
    fn starting_now(limits: Limits) -> Self {
        let deadline = limits.statement.and_then(|time| Instant::now().checked_add(time));
        Self { statement: limits.statement, deadline, cancel: None }
    }

    fn stop_condition(&self) -> StopCondition {
        StopCondition { deadline: self.deadline, is_cancelled: self.cancel.as_ref().map(CancelToken::flag) }
    }
}

impl r2d2::ManageConnection for Manager {
    type Connection = Pooled;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Pooled, Self::Error> {
        self.pooled().map_err(diesel::r2d2::Error::ConnectionError)
    }

    fn is_valid(&self, connection: &mut Pooled) -> Result<(), Self::Error> {
        connection.db.ping().map_err(diesel::r2d2::Error::QueryError)
    }

    fn has_broken(&self, connection: &mut Pooled) -> bool {
        std::thread::panicking() || connection.is_lost || connection.db.is_broken()
    }
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
    url: DatabaseUrl,
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
            let statement = sql_query(format!(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {SESSION} = $1"
            ));
            let sent = self
                .check(|connection| Ok(statement.clone().bind::<Text, _>(&session).execute(connection)?));
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
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
