//! Where data sets are kept, and how a test comes by one.

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

/// A data set, open.
#[derive(Debug)]
pub struct Data {
    /// The engine that keeps it.
    pub engine: Engine,
    /// How many flyers it has: one of [`SIZES`].
    pub size: u32,
    /// Whether the planner has statistics of it.
    pub analyzed: bool,
    /// The open database. Others use it too: it is only read, and written in [`Data::with_ddl`] alone.
    pub database: Database,
    /// Its URL, for programs that open it themselves.
    pub url: String,
    /// Of SQLite's file: nobody removes it meanwhile. PostgreSQL removes no database that somebody is in.
    _lock: Option<File>,
}

impl Data {
    /// Opens a data set, and builds it first where it is missing; other processes wait for the one that does.
    ///
    /// # Panics
    /// When it cannot be built or opened: a test has nothing to do then.
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
        assert!(!is_pending, "{url} was built by a program without the newest migration: remove it");
        Self { engine, size, analyzed, database, url, _lock: lock }
    }

    /// Does `work` while `ddl` holds, on the connection on which it does: in a transaction that is rolled back.
    ///
    /// On PostgreSQL everyone else who uses the same tables waits until then, this process's other
    /// connections too; on SQLite only those who would write. For DDL and no rows: on PostgreSQL a row that was
    /// written and rolled back stays in the files, and costs whoever reads.
    ///
    /// # Panics
    /// When the database refuses the statements, or `work` panics: rolled back all the same.
    pub fn with_ddl<T>(&self, ddl: &str, work: impl FnOnce(&mut Db) -> T) -> T {
        let one_at_a_time = match self.engine {
            // Outside the transaction, where it would have no effect.
            Engine::Sqlite => "PRAGMA busy_timeout = 600000",
            // Two who each hold a table and read the other's would wait for each other.
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
        done.expect("the DDL and its work are done")
    }
}

/// Runs `test` on a data set of each engine, and says on which one it failed.
pub fn on_both(size: u32, analyzed: bool, test: impl Fn(&Data)) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        eprintln!("on {engine:?}, {size} flyers, analyzed: {analyzed}");
        test(&Data::open(engine, size, analyzed));
    }
}

/// Which data set: the two with and without statistics are built together, since PostgreSQL copies only a
/// database that nobody is connected to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    pub(super) size: u32,
    pub(super) analyzed: bool,
}

impl Set {
    /// What its file or database is called: content, size, and whether it has statistics.
    pub(super) fn name(self) -> String {
        let analyzed = if self.analyzed { "_analyzed" } else { "" };
        format!("{}_{}{analyzed}", *CONTENT, self.size)
    }

    pub(super) fn both(self) -> [Self; 2] {
        [false, true].map(|analyzed| Self { analyzed, ..self })
    }

    /// What the two are called together.
    pub(super) fn key(self) -> String {
        key(&self.name())
    }
}

/// The content and size in the name of a file or database.
pub(super) fn key(name: &str) -> String {
    name.split(['_', '.']).take(2).collect::<Vec<_>>().join("_")
}

/// Whether a former generator gave this name.
pub(super) fn is_outdated(name: &str) -> bool {
    !name.starts_with(&*CONTENT)
}

/// Says how long a step of building took.
pub(super) fn timed<T>(what: &str, step: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = step();
    eprintln!("{what}: {:.1} s", started.elapsed().as_secs_f64());
    done
}

/// A hash of what decides the rows: this generator's source and the migrations. When either changes, the data is built
/// again.
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
