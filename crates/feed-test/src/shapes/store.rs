//! Opens the data sets: names, sharing and building them.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Instant;

use diesel::Connection;
use diesel::connection::SimpleConnection;
use feed_core::db::{Database, Db, Engine};
use feed_core::migrate;

use super::{SIZES, postgres, sqlite};

/// An open data set.
#[derive(Debug)]
pub struct Data {
    /// The engine of the database.
    pub engine: Engine,
    /// The number of flyers: one of [`SIZES`].
    pub size: u32,
    /// Whether the planner has statistics.
    pub analyzed: bool,
    /// The database. Other tests use it at the same time, so tests only read it. The exception is [`Data::with_ddl`].
    pub database: Database,
    /// The URL, for programs that open the database themselves.
    pub url: String,
    /// Keeps other processes from removing SQLite's file. PostgreSQL needs no lock: it drops no database that has
    /// connections.
    _lock: Option<File>,
}

impl Data {
    /// Opens a data set, and builds it first if it is missing. Other processes wait while one builds it.
    ///
    /// # Panics
    /// When it cannot be built or opened.
    pub fn open(engine: Engine, size: u32, analyzed: bool) -> Self {
        assert!(SIZES.contains(&size), "{size} is not one of {SIZES:?}");
        let set = Set { size, analyzed };
        let open =
            |url: &str| Database::open(&url.parse().expect("a database URL"), 4).expect("the data set opens");
        let (url, database, lock) = match engine {
            Engine::Sqlite => {
                let (url, lock) = sqlite::provide(set);
                let database = open(&url);
                (url, database, Some(lock))
            }
            Engine::Postgres => {
                let (url, _locked) = postgres::provide(set);
                let database = open(&url);
                (url, database, None)
            }
        };
        let is_pending = database.read(migrate::is_pending).expect("the data set answers");
        assert!(!is_pending, "{url} lacks the newest migration: remove it");
        Self { engine, size, analyzed, database, url, _lock: lock }
    }

    /// Runs `ddl` and then `work` in one transaction, and rolls it back.
    ///
    /// On PostgreSQL all other connections that use the same tables wait until then, also those of this process. On
    /// SQLite only writers wait. Write no rows here: on PostgreSQL a row stays in the table's file after the rollback,
    /// and later reads cost more.
    ///
    /// # Panics
    /// When the database refuses `ddl`, or `work` panics. The transaction is rolled back then too.
    pub fn with_ddl<T>(&self, ddl: &str, work: impl FnOnce(&mut Db) -> T) -> T {
        let one_at_a_time = match self.engine {
            // Before the transaction: within one it would have no effect.
            Engine::Sqlite => "PRAGMA busy_timeout = 600000",
            // Without this lock, two callers that each lock a table and then read the other's table would deadlock.
            Engine::Postgres => "SELECT pg_advisory_lock(1)",
        };
        let done = self.database.with_writer(|c| {
            c.batch_execute(one_at_a_time)?;
            let answer = c.test_transaction(|c| {
                c.batch_execute(ddl)?;
                diesel::QueryResult::Ok(work(c))
            });
            if self.engine == Engine::Postgres {
                c.batch_execute("SELECT pg_advisory_unlock(1)")?;
            }
            Ok(answer)
        });
        done.expect("the DDL runs and is rolled back")
    }
}

/// Runs `test` on a data set of each engine. Prints the engine first, so that a failure shows it.
pub fn on_both(size: u32, analyzed: bool, test: impl Fn(&Data)) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        eprintln!("on {engine:?}, {size} flyers, analyzed: {analyzed}");
        test(&Data::open(engine, size, analyzed));
    }
}

/// The key of a data set. The two of a size, with and without statistics, are built together, because PostgreSQL copies
/// only a database that nobody is connected to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    pub(super) size: u32,
    pub(super) analyzed: bool,
}

impl Set {
    /// The name of the file or database: the hash of the content, the size, and whether there are statistics.
    pub(super) fn name(self) -> String {
        let analyzed = if self.analyzed { "_analyzed" } else { "" };
        format!("{}_{}{analyzed}", *CONTENT, self.size)
    }

    pub(super) fn both(self) -> [Self; 2] {
        [false, true].map(|analyzed| Self { analyzed, ..self })
    }

    /// The part of the name that both data sets of a size share.
    pub(super) fn key(self) -> String {
        key(&self.name())
    }
}

/// The content hash and the size, from the name of a file or database.
pub(super) fn key(name: &str) -> String {
    name.split(['_', '.']).take(2).collect::<Vec<_>>().join("_")
}

/// Whether an older generator built the data set of this name.
pub(super) fn is_outdated(name: &str) -> bool {
    !name.starts_with(&*CONTENT)
}

/// Runs a step of building and prints how long it took.
pub(super) fn timed<T>(what: &str, step: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = step();
    eprintln!("{what}: {:.1} s", started.elapsed().as_secs_f64());
    done
}

/// A hash of everything that determines the rows: the sources of this module and the migrations. When either changes,
/// the data sets get new names and are built again.
static CONTENT: LazyLock<String> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = |folder: &str| {
        let entries = root.join(folder).read_dir().expect("the folder of the generator or of migrations");
        entries.map(|entry| entry.expect("an entry of the folder").path())
    };
    // The folders are read at run time: no list of files can be out of date.
    let generator = entries("src/shapes").filter(|file| file.extension().is_some_and(|end| end == "rs"));
    let migrations = ["../../migrations/sqlite", "../../migrations/postgres"].into_iter().flat_map(entries);
    let migrations = migrations.map(|folder| folder.join("up.sql")).filter(|file| file.is_file());
    let mut files: Vec<_> = generator.chain(migrations).collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read_to_string(file).expect("a source file").hash(&mut hasher);
    }
    format!("{:012x}", hasher.finish() & 0xffff_ffff_ffff)
});
