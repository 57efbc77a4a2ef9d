//! A database of its own for each test, on either engine.
//!
//! PostgreSQL's comes from the server that `FEED_TEST_POSTGRES` names, as a superuser; `scripts/pg run` starts one. It
//! belongs to an ordinary role, as a service's should, and tests are that role.

pub mod statements;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, RunQueryDsl};

use crate::db::{Database, DatabaseUrl, Engine, Parts};
use crate::migrate;
use crate::sql::{Statement, Value};

/// The role that tests are on PostgreSQL.
pub const ROLE: &str = "feed_test";

/// Any number of tests may try at once.
const MAKE_ROLE: &str = "DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'feed_test') THEN
        CREATE ROLE feed_test LOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$";

/// A migrated, empty database that goes when the value does.
#[derive(Debug)]
pub struct TestDatabase {
    /// The open database.
    pub database: Database,
    /// Its URL, for programs that open it themselves.
    pub url: String,
    home: Home,
}

#[derive(Debug)]
enum Home {
    #[expect(dead_code, reason = "deletes the folder when it is dropped")]
    Folder(tempfile::TempDir),
    Server {
        maintenance_url: String,
        name: String,
    },
}

impl TestDatabase {
    /// Makes a database and migrates it.
    ///
    /// # Panics
    /// When it cannot be made: a test has nothing to do then.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        let database = Self::unmigrated(engine);
        database.database.with_writer(migrate::run).expect("migrations run");
        database
    }

    /// Makes a database without any table.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn unmigrated(engine: Engine) -> Self {
        let (url, home) = match engine {
            Engine::Sqlite => {
                let folder = tempfile::tempdir().expect("a folder for the database");
                (format!("sqlite://{}/test.db", folder.path().display()), Home::Folder(folder))
            }
            Engine::Postgres => {
                let maintenance_url = std::env::var("FEED_TEST_POSTGRES").expect(
                    "FEED_TEST_POSTGRES names a server: run the tests by scripts/test or scripts/pg run",
                );
                let name = format!("test_{:032x}", rand::random::<u128>());
                let mut server = PgConnection::establish(&maintenance_url).expect("the test server answers");
                server.batch_execute(MAKE_ROLE).expect("a role for tests");
                server
                    .batch_execute(&format!("CREATE DATABASE {name} OWNER {ROLE}"))
                    .expect("a database of its own");
                (as_role(&with_database(&maintenance_url, &name)), Home::Server { maintenance_url, name })
            }
        };
        let parsed: DatabaseUrl = url.parse().expect("a database URL");
        let database = Database::open(&parsed, 8).expect("the database opens");
        Self { database, url, home }
    }

    /// Writes what no call of the service does, such as a thousand rows at once; tells how many rows it wrote.
    ///
    /// # Panics
    /// When the engine refuses it.
    #[must_use = "a statement that wrote no row tests nothing"]
    pub fn execute(&self, text: &str, binds: &[(&str, Value)]) -> usize {
        let statement = Statement::<()>::new(text.to_owned(), binds);
        self.database.write(|connection| Ok(statement.execute(connection)?)).expect("the rows are written")
    }

    /// Does `work` while another process, as far as the database can tell, holds the locks that a statement takes.
    ///
    /// # Panics
    /// When the engine refuses the statement.
    pub fn while_locked<T>(&self, text: &str, work: impl FnOnce() -> T) -> T {
        let other =
            Database::open(&self.url.parse().expect("a database URL"), 1).expect("the database opens");
        let statement = Statement::<()>::new(text.to_owned(), &[]);
        let held = other.write(|connection| {
            statement.execute(connection)?;
            Ok(work())
        });
        held.expect("the statement is taken back or kept")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Home::Server { maintenance_url, name } = &self.home {
            // FORCE ends the pool's own connections. A server that is gone took the database with it.
            if let Ok(mut connection) = PgConnection::establish(maintenance_url) {
                let dropped = connection.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"));
                if let Err(error) = dropped {
                    eprintln!("{name} was left behind: {error}");
                }
            }
        }
    }
}

/// The same server with another database.
#[must_use]
pub fn with_database(url: &str, name: &str) -> String {
    Parts::of(url).with_database(name).to_string()
}

/// The same database as [`ROLE`].
fn as_role(url: &str) -> String {
    let (start, parameters) = url.split_once('?').unwrap_or((url, ""));
    let others = parameters.split('&').filter(|p| !p.is_empty() && !p.starts_with("user="));
    let parameters: Vec<_> = others.map(str::to_owned).chain([format!("user={ROLE}")]).collect();
    format!("{start}?{}", parameters.join("&"))
}

/// Runs `test` on an empty database of each engine, and says on which one it failed.
pub fn on_both(test: impl Fn(&TestDatabase)) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        eprintln!("on {engine:?}");
        test(&TestDatabase::new(engine));
    }
}
