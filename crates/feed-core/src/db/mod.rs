//! The connection to either engine, and the pools that lend it.

mod backup;
mod cancel;
mod connection;
mod deadline;
mod failure;
mod meter;
mod private;
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
use deadline::End;
use meter::Meter;
pub use meter::{Usage, measured};
pub use private::open_to_all;
#[cfg(feature = "testing")]
pub(crate) use url::Parts;
pub use url::{BadDatabaseUrl, DatabaseUrl};
use url::{with_patience, without_secrets};
pub use wal::WAL_LIMIT;

/// What a piece of work may take of the database before it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a statement may run; none: as long as it takes. On SQLite all statements of one read or write have so
    /// much together. Waits for locks are within it; on PostgreSQL they may take half of it.
    pub statement: Option<Duration>,
    /// How long to wait for a connection of the pool.
    pub connection: Duration,
}

/// Those of commands and of work behind the scenes: statements take what they take.
impl Default for Limits {
    fn default() -> Self {
        Self { statement: None, connection: Duration::from_secs(5) }
    }
}

/// Why a database cannot be opened, in one line for the operator.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the database {url}: {reason}")]
pub struct OpenError {
    url: DatabaseUrl,
    reason: String,
}

/// Limits of the connection that is kept apart, for what must be known or done soon.
const CONTROL: Limits =
    Limits { statement: Some(Duration::from_secs(1)), connection: Duration::from_secs(1) };

/// What PostgreSQL calls a session, in `pg_stat_activity`: process ids alone are given again, and a service that has
/// several servers to choose from may reach another one.
const SESSION: &str = "(pid || ' ' || extract(epoch FROM backend_start))";

/// What a connection is for: SQLite has one writer and many readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// Makes connections of one kind for a pool.
#[derive(Debug)]
struct Manager {
    url: DatabaseUrl,
    access: Access,
}

impl Manager {
    /// A connection as the engine makes it, which has changed nothing yet.
    fn connect_bare(&self) -> Result<Db, ConnectionError> {
        Ok(match &self.url {
            DatabaseUrl::Sqlite(path) => {
                // "./": a relative path must not be taken for a URI or for `:memory:`.
                let path = if path.starts_with('/') { path.clone() } else { format!("./{path}") };
                deadline::install()?;
                private::create_missing(std::path::Path::new(&path));
                Db::Sqlite(SqliteConnection::establish(&path)?)
            }
            DatabaseUrl::Postgres(url) => Db::Postgres(PgConnection::establish(&with_patience(url))?),
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
                // WAL: readers and the writer do not wait for each other. FULL: what was acknowledged
                // survives a power cut.
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
                // A generic plan is what five runs end with anyhow: hold it from the first. jit costs
                // more than these queries take. Every query here is a walk of indexes; without an idea of the
                // values, or with statistics of other users, the planner takes some for work on whole tables. A
                // price for those and no ban: a banned step that it takes for inevitable costs so much that
                // it sees no difference between the others. The name is for whoever looks at the server, unless the
                // URL gives another one.
                connection
                    .batch_execute(&format!(
                        "SET plan_cache_mode = force_generic_plan; SET jit = off; SET timezone = 'UTC'; \
                         SET random_page_cost = 1.1; SET seq_page_cost = 20; \
                         SELECT set_config('application_name', 'feed-api', false) \
                         WHERE current_setting('application_name') = ''; {}",
                        failure::SPEAK_ENGLISH
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
    /// What the server has been told of the time that a statement may take.
    statement: Option<Duration>,
    /// The server's name of this session; empty for an embedded file, which has no sessions.
    session: String,
    /// The server closed it or takes no writes, as a statement found out: Diesel itself notices the former only in
    /// transactions.
    is_lost: bool,
}

impl Pooled {
    /// Does `work` within its time, and remembers where that finds the connection lost.
    fn run<T>(&mut self, time: &Time, work: impl FnOnce(&mut Db) -> Result<T>) -> Result<T> {
        let told = self.tell(time.statement);
        let (answer, failed) = meter::with_last_failure(|| {
            told.and_then(|()| match &time.cancel {
                None => deadline::until(time.end(), || work(&mut self.db)),
                Some(cancel) => self.run_until(cancel, time, work),
            })
        });
        self.is_lost |= matches!(&answer, Err(Error::Unavailable(cause)) if is_useless(cause.as_ref()));
        match self.db {
            Db::Sqlite(_) => answer,
            Db::Postgres(_) => answer.map_err(|error| failure::judged(error, failed, time.statement)),
        }
    }

    /// Does `work` until it is cancelled.
    fn run_until<T>(
        &mut self,
        cancel: &CancelToken,
        time: &Time,
        work: impl FnOnce(&mut Db) -> Result<T>,
    ) -> Result<T> {
        /// The session may be cancelled until then, however the work ends.
        struct Running<'a>(&'a CancelToken, &'a mut bool);
        impl Drop for Running<'_> {
            fn drop(&mut self) {
                *self.1 |= !self.0.end();
            }
        }
        if !cancel.begin(&self.session) {
            return Err(Error::TimedOut("it was cancelled before it began".into()));
        }
        let _running = Running(cancel, &mut self.is_lost);
        deadline::until(time.end(), || work(&mut self.db)).map_err(|error| match error {
            // PostgreSQL tells of a cancellation in its own language.
            Error::Internal(cause) if cancel.is_cancelled() => Error::TimedOut(cause),
            other => other,
        })
    }

    /// Tells the server how long a statement may take: a round trip where the last work had other limits.
    fn tell(&mut self, statement: Option<Duration>) -> Result<()> {
        if let Db::Postgres(connection) = &mut self.db
            && self.statement != statement
        {
            // 0 would be no limit.
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

/// The server's name of a connection's session: one round trip.
fn session(db: &mut Db) -> diesel::QueryResult<String> {
    let Db::Postgres(connection) = db else { return Ok(String::new()) };
    let select = format!("SELECT {SESSION} AS name FROM pg_stat_activity WHERE pid = pg_backend_pid()");
    sql_query(select).get_result(connection).map(|Session { name }| name)
}

/// Whether the server has closed the connection, or takes no writes over it: another one may lead to a server that does.
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

/// What is left to a piece of work.
struct Time {
    statement: Option<Duration>,
    deadline: Option<Instant>,
    cancel: Option<CancelToken>,
}

impl Time {
    /// From now on.
    fn within(limits: Limits) -> Self {
        let deadline = limits.statement.and_then(|time| Instant::now().checked_add(time));
        Self { statement: limits.statement, deadline, cancel: None }
    }

    fn end(&self) -> End {
        End { deadline: self.deadline, is_cancelled: self.cancel.as_ref().map(CancelToken::flag) }
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

/// How many connections a pool has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Open ones.
    pub connections: u32,
    /// Those of them that nobody uses.
    pub idle: u32,
    /// Open ones at most.
    pub most: u32,
}

/// An open database: a pool of readers and, on SQLite, one writer.
///
/// PostgreSQL has one pool for both. One connection more is kept apart, see [`Database::check`]. Clones share all of them.
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
    /// Opens `url` with at most `connections` readers (on PostgreSQL: connections).
    ///
    /// An embedded file that is not there is created, in a folder that is, and only its owner may read it.
    ///
    /// # Errors
    /// When there is no such folder, the file is no SQLite database, the server does not answer, its database is not
    /// UTF8, or the database is another application's: that one is left as it was.
    pub fn open(url: &DatabaseUrl, connections: u32) -> Result<Self, OpenError> {
        let fail =
            |reason: String| OpenError { url: url.clone(), reason: one_line(&without_secrets(&reason, url)) };
        if let DatabaseUrl::Sqlite(path) = url {
            let folder = std::path::Path::new(path).parent().filter(|p| !p.as_os_str().is_empty());
            if let Some(folder) = folder.filter(|p| !p.is_dir()) {
                return Err(fail(format!("there is no folder {}", folder.display())));
            }
        }
        // A pool would only say that it timed out: the first connection is made by hand, for its error.
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
                "it has another application's tables and none of ours: give us a database of our own".into(),
            ));
        }
        manager.set_up(&mut first).map_err(|e| fail(e.to_string()))?;
        drop(first);

        let pool = |access, size: u32, idle: u32| {
            r2d2::Pool::builder()
                .max_size(size)
                .min_idle(Some(idle))
                .connection_timeout(Limits::default().connection)
                // A ping before each use would be a round trip a request; `read` retries instead.
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
        // Commands have no use for it: it is made when it is first asked for.
        let control = pool(Access::Read, 1, 0)?;
        Ok(Self { url: url.clone(), readers, writers, control, limits: Limits::default(), cancel: None })
    }

    /// The same pools for work with limits of its own, such as that of requests.
    #[must_use]
    pub fn limited(&self, limits: Limits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// The same for work whose statements take what they take.
    #[must_use]
    pub fn unhurried(&self) -> Self {
        self.limited(Limits { statement: None, ..self.limits })
    }

    /// The same for reads that end when [`Database::cancel`] is called with this token.
    #[must_use]
    pub fn cancelled_by(&self, token: CancelToken) -> Self {
        Self { cancel: Some(token), ..self.clone() }
    }

    /// The engine behind it.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.url.engine()
    }

    /// Lends a connection to `work`, which only reads.
    ///
    /// Work that meets a connection which the server closed is done once more on a fresh one.
    ///
    /// # Errors
    /// What `work` returns; [`Error::Unavailable`] when no connection comes free or the database is away;
    /// [`Error::TimedOut`].
    pub fn read<T>(&self, work: impl Fn(&mut Db) -> Result<T>) -> Result<T> {
        self.read_from(&self.readers, work)
    }

    /// Lends `work`, which only reads, the connection that no other work can have, and which has limits of its own: a
    /// second to get it, and a second for each statement. Pools whose connections are all in use do not delay it.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub fn check<T>(&self, work: impl Fn(&mut Db) -> Result<T>) -> Result<T> {
        let apart = Self { limits: CONTROL, cancel: None, ..self.clone() };
        apart.read_from(&self.control, work)
    }

    /// Ends reads that run under this token, and has none begin any more.
    ///
    /// SQLite ends them by itself, within some 20 microseconds of its work. On PostgreSQL this takes the connection of
    /// [`Database::check`], a round trip at a time, until the reads have ended or the server does not answer.
    pub fn cancel(&self, token: &CancelToken) {
        token.cancel();
        // Again and again: a read may have been between two of its statements.
        for pause in (0..).map(|n: u32| Duration::from_millis(u64::from(n.min(10) * 10))) {
            std::thread::sleep(pause);
            let Some(session) = self.server_session(token) else { return };
            let statement = sql_query(format!(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {SESSION} = $1"
            ));
            let sent = self
                .check(|connection| Ok(statement.clone().bind::<Text, _>(&session).execute(connection)?));
            token.told(sent.is_ok());
        }
    }

    fn server_session(&self, token: &CancelToken) -> Option<String> {
        match self.engine() {
            Engine::Sqlite => None,
            Engine::Postgres => token.tell(),
        }
    }

    fn read_from<T>(&self, pool: &r2d2::Pool<Manager>, work: impl Fn(&mut Db) -> Result<T>) -> Result<T> {
        let mut lent = self.lend(pool)?;
        let time = Time { cancel: self.cancel.clone(), ..Time::within(self.limits) };
        let answer = lent.run(&time, &work);
        let is_wanted = time.cancel.as_ref().is_none_or(|cancel| !cancel.is_cancelled());
        if lent.is_lost && is_wanted {
            self.reconnect(&mut lent)?;
            return lent.run(&time, &work);
        }
        answer
    }

    /// Lends a connection to `work` in one transaction: see [`Db::write`].
    ///
    /// A transaction that cannot begin because the server closed the connection begins on a fresh one. Work
    /// that had begun is not repeated: it may have been kept.
    ///
    /// # Errors
    /// What `work` returns; [`Error::Unavailable`] when no connection comes free or the database is away;
    /// [`Error::TimedOut`].
    pub fn write<T>(&self, work: impl FnOnce(&mut Db) -> Result<T>) -> Result<T> {
        let mut lent = self.lend(&self.writers)?;
        let time = Time::within(self.limits);
        let mut begun = lent.run(&time, Db::begin);
        if lent.is_lost {
            self.reconnect(&mut lent)?;
            begun = lent.run(&time, Db::begin);
        }
        begun?;
        lent.run(&time, |connection| connection.commit_after(work))
    }

    /// Puts a fresh connection in the place of a lost one. Where there is none to be had, the lost one
    /// leaves the pool when it is given back.
    fn reconnect(&self, lost: &mut Pooled) -> Result<()> {
        let manager = Manager { url: self.url.clone(), access: Access::Write };
        // A server that ends all connections may end the new one too while it is set up.
        let fresh = manager.pooled().or_else(|_| manager.pooled());
        *lost = fresh.map_err(|e| Error::Unavailable(Box::new(e)))?;
        Ok(())
    }

    /// Lends a connection that may write, outside a transaction and without limits: for migrations and loads.
    ///
    /// # Errors
    /// What `work` returns; [`Error::Unavailable`] when no connection comes free.
    pub fn with_writer<T>(&self, work: impl FnOnce(&mut Db) -> Result<T>) -> Result<T> {
        let unlimited = self.limited(Limits::default());
        unlimited.lend(&self.writers)?.run(&Time::within(unlimited.limits), work)
    }

    fn lend(&self, pool: &r2d2::Pool<Manager>) -> Result<r2d2::PooledConnection<Manager>> {
        let started = Instant::now();
        let lent = pool.get_timeout(self.limits.connection);
        meter::add(Usage { waiting: started.elapsed(), ..Usage::default() });
        lent.map_err(|e| Error::Unavailable(Box::new(e)))
    }

    /// The pools as they are now, by name: `readers` and `writer` on SQLite, `connections` on PostgreSQL.
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

/// What the database says of an error that the domain tells nobody.
fn cause(error: &Error) -> String {
    std::error::Error::source(error).unwrap_or(error).to_string()
}

/// libpq's reasons run over several lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
