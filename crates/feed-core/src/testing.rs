//! Test databases: each test gets its own, on either engine.
//!
//! On PostgreSQL, `FEED_TEST_POSTGRES` must be the URL of a server, for a superuser; `scripts/pg run` starts one. The
//! test databases belong to an ordinary role, as that of a service should, and tests connect as that role.

pub mod statements;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, RunQueryDsl};

use crate::db::{Database, DatabaseUrl, Engine, Parts};
use crate::migrate;
use crate::sql::{Statement, Value};

/// The PostgreSQL role that tests connect as.
pub const ROLE: &str = "feed_test";

/// SQL that creates the role. Several tests may run it at once.
const MAKE_ROLE: &str = "DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'feed_test') THEN
        CREATE ROLE feed_test LOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$";

/// A test database. Dropping it deletes the database.
#[derive(Debug)]
pub struct TestDatabase {
    /// The open database.
    pub database: Database,
    /// The database's URL, for programs that open it themselves.
    pub url: String,
    storage: Storage,
}

/// Where the database is stored, for its deletion.
#[derive(Debug)]
enum Storage {
    #[expect(dead_code, reason = "deletes the folder when it is dropped")]
    Folder(tempfile::TempDir),
    Server {
        maintenance_url: String,
        name: String,
    },
}

impl TestDatabase {
    /// Creates a database and migrates it.
    ///
    /// # Panics
    /// When the database cannot be created.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        let database = Self::unmigrated(engine);
        database.database.with_writer(migrate::run).expect("migrations run");
        database
    }

    /// Creates a database without tables.
    ///
    /// # Panics
    /// When the database cannot be created.
    #[must_use]
    pub fn unmigrated(engine: Engine) -> Self {
        let (url, storage) = match engine {
            Engine::Sqlite => {
                let folder = tempfile::tempdir().expect("a folder for the database");
                (format!("sqlite://{}/test.db", folder.path().display()), Storage::Folder(folder))
            }
            Engine::Postgres => {
                let maintenance_url = std::env::var("FEED_TEST_POSTGRES").expect(
                    "FEED_TEST_POSTGRES must be set: run the tests with scripts/test or scripts/pg run",
                );
                let name = format!("test_{:032x}", rand::random::<u128>());
                let mut server = PgConnection::establish(&maintenance_url).expect("the test server answers");
                server.batch_execute(MAKE_ROLE).expect("a role for tests");
                server
                    .batch_execute(&format!("CREATE DATABASE {name} OWNER {ROLE}"))
                    .expect("a database of its own");
                (as_role(&with_database(&maintenance_url, &name)), Storage::Server { maintenance_url, name })
            }
        };
        let parsed: DatabaseUrl = url.parse().expect("a database URL");
        let database = Database::open(&parsed, 8).expect("the database opens");
        Self { database, url, storage }
    }

    /// Runs a statement that no function of this crate sends, such as an insert of a thousand rows. Returns the number
    /// of rows that it wrote.
    ///
    /// # Panics
    /// When the statement fails.
    #[must_use = "a statement that wrote no row tests nothing"]
    pub fn execute(&self, text: &str, binds: &[(&str, Value)]) -> usize {
        let statement = Statement::<()>::new(text.to_owned(), binds);
        self.database.write(|connection| Ok(statement.execute(connection)?)).expect("the rows are written")
    }

    /// Runs `work` while another connection holds the locks that the statement `text` takes.
    ///
    /// # Panics
    /// When the statement fails.
    pub fn while_locked<T>(&self, text: &str, work: impl FnOnce() -> T) -> T {
        let other =
            Database::open(&self.url.parse().expect("a database URL"), 1).expect("the database opens");
        let statement = Statement::<()>::new(text.to_owned(), &[]);
        let held = other.write(|connection| {
            statement.execute(connection)?;
            Ok(work())
        });
        held.expect("the statement runs and is committed")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Storage::Server { maintenance_url, name } = &self.storage {
            // FORCE closes the connections of the pool. If the server has stopped, there is nothing to delete.
            if let Ok(mut connection) = PgConnection::establish(maintenance_url) {
                let dropped = connection.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"));
                if let Err(error) = dropped {
                    eprintln!("{name} was left behind: {error}");
                }
            }
        }
    }
}

/// The URL with another database on the same server.
#[must_use]
pub fn with_database(url: &str, name: &str) -> String {
    Parts::of(url).with_database(name).to_string()
}

/// The URL with [`ROLE`] as the user.
fn as_role(url: &str) -> String {
    let (start, parameters) = url.split_once('?').unwrap_or((url, ""));
    let others = parameters.split('&').filter(|p| !p.is_empty() && !p.starts_with("user="));
    let parameters: Vec<_> = others.map(str::to_owned).chain([format!("user={ROLE}")]).collect();
    format!("{start}?{}", parameters.join("&"))
}

/// Runs `test` on an empty database of each engine, and prints the engine's name before each.
pub fn on_both(test: impl Fn(&TestDatabase)) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        eprintln!("on {engine:?}");
        test(&TestDatabase::new(engine));
    }
}
