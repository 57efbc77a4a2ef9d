//! Opens connections and sets them up, for the pools and for single use.

use diesel::connection::{InstrumentationEvent, SimpleConnection};
use diesel::r2d2::R2D2Connection;
use diesel::{Connection, ConnectionError, PgConnection, SqliteConnection};

use super::connection::Db;
use super::meter::Meter;
use super::pooled::Pooled;
use super::url::{DatabaseUrl, with_timeouts};
use super::{deadline, failure, private, session};
use crate::geo;

/// The size in bytes up to which SQLite's write-ahead log is left alone: twice what SQLite lets it grow to when no
/// readers overlap.
pub const WAL_LIMIT: u64 = 8 * 1024 * 1024;

/// What a connection may do. SQLite has one writer and many readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Opens connections of one kind for a pool.
#[derive(Debug)]
pub(super) struct Manager {
    pub(super) url: DatabaseUrl,
    pub(super) access: Access,
}

impl Manager {
    /// Opens a connection without changing the database or any setting.
    pub(super) fn connect_bare(&self) -> Result<Db, ConnectionError> {
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
    pub(super) fn pooled(&self) -> Result<Pooled, ConnectionError> {
        let mut db = self.establish()?;
        // No request has sent this statement, so no request's log has it.
        db.set_instrumentation(|_: InstrumentationEvent<'_>| {});
        let session = session::identity(&mut db).map_err(ConnectionError::CouldntSetupConfiguration)?;
        db.set_instrumentation(Meter::new());
        Ok(Pooled::new(db, session))
    }

    pub(super) fn set_up(&self, db: &mut Db) -> Result<(), ConnectionError> {
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
