//! The database that every state starts from: demo data on the server that `FEED_TEST_POSTGRES` names.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use chrono::NaiveDateTime;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use feed_core::db::{Database, Db};
use feed_core::migrate;
use feed_core::seed::{self, Outcome, Plan};
use feed_core::testing::with_database;

/// The day at which the demo data ends, and at which pages are asked.
pub fn now() -> NaiveDateTime {
    "2026-06-01T12:00:00".parse().unwrap()
}

pub fn size() -> u32 {
    std::env::var("FEED_LIVING_FLYERS").map_or(100_000, |flyers| flyers.parse().unwrap())
}

fn server() -> String {
    std::env::var("FEED_TEST_POSTGRES")
        .expect("FEED_TEST_POSTGRES names a server: run the tests by scripts/test or scripts/pg run")
}

fn maintenance() -> PgConnection {
    PgConnection::establish(&server()).expect("the test server answers")
}

/// A database of the test server. It is dropped with this value.
pub struct State {
    pub name: String,
    pub database: Database,
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = maintenance().batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

impl State {
    /// A copy of the demo data: with statistics and all rows visible, or as it was loaded.
    pub fn new(what: &str, is_rested: bool) -> Self {
        let template = provide(is_rested);
        let name = format!("{template}_{what}_{}", std::process::id());
        maintenance()
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
            .unwrap();
        Self { database: open(&name), name }
    }

    /// A connection beside those of the service.
    pub fn connect(&self) -> PgConnection {
        PgConnection::establish(&with_database(&server(), &self.name)).unwrap()
    }

    /// Runs statements as somebody else, without triggers.
    pub fn execute(&self, statements: &str) {
        self.connect().batch_execute(statements).unwrap();
    }
}

fn open(name: &str) -> Database {
    Database::open(&with_database(&server(), name).parse().unwrap(), 2).unwrap()
}

/// The name of the demo data's database, which is built where it is missing. Nobody is connected to it.
fn provide(is_rested: bool) -> String {
    let [loaded, rested] =
        ["loaded", "rested"].map(|state| format!("living_{}_{}_{state}", content(), size()));
    let mut server = maintenance();
    // Held until the connection closes: another process builds nothing meanwhile.
    server.batch_execute("SELECT pg_advisory_lock(hashtext('living'))").unwrap();
    if !is_there(&mut server, &loaded) {
        let building = format!("{loaded}_building");
        for name in [&loaded, &rested, &building] {
            server.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).unwrap();
        }
        server.batch_execute(&format!("CREATE DATABASE {building}")).unwrap();
        build(&open(&building));
        let run = |statements: &str| {
            let mut connection = PgConnection::establish(&with_database(&self::server(), &building)).unwrap();
            connection.batch_execute(statements).unwrap();
        };
        run("VACUUM (FREEZE, ANALYZE)");
        server
            .batch_execute(&format!("CREATE DATABASE {rested} TEMPLATE {building} STRATEGY file_copy"))
            .unwrap();
        run(&format!("CREATE EXTENSION pg_visibility; {FORGET_VISIBILITY}; {FORGET_STATISTICS}"));
        server.batch_execute(&format!("ALTER DATABASE {building} RENAME TO {loaded}")).unwrap();
    }
    if is_rested { rested } else { loaded }
}

fn is_there(server: &mut PgConnection, name: &str) -> bool {
    let found = diesel::sql_query("SELECT count(*) AS n FROM pg_database WHERE datname = $1");
    found.bind::<Text, _>(name).get_result::<Number>(server).unwrap().n > 0
}

#[derive(QueryableByName)]
pub struct Number {
    #[diesel(sql_type = BigInt)]
    pub n: i64,
}

const FORGET_VISIBILITY: &str = "SELECT pg_truncate_visibility_map(oid) FROM pg_class \
    WHERE relkind = 'r' AND relnamespace = CAST('public' AS regnamespace)";

/// What a table has that was never vacuumed or analyzed.
pub const FORGET_STATISTICS: &str = "DELETE FROM pg_statistic WHERE starelid IN \
    (SELECT oid FROM pg_class WHERE relnamespace = CAST('public' AS regnamespace)); \
    UPDATE pg_class SET reltuples = -1, relpages = 0, relallvisible = 0 \
    WHERE relkind IN ('r', 'i') AND relnamespace = CAST('public' AS regnamespace)";

/// Demo data, and a user who follows 2,000 creators. No vacuum comes by itself: that is what the states are about.
fn build(database: &Database) {
    database.with_writer(migrate::run).unwrap();
    let plan = Plan { users: (size() / 10).max(5_000), flyers: size(), seed: 1, follows_max: 1_500 };
    let outcome = seed::seed(database, &plan, now(), false, &mut |_| {}).unwrap();
    assert!(matches!(outcome, Outcome::Added(_)));
    let work = |c: &mut Db| {
        let Db::Postgres(c) = c else { unreachable!("the database is PostgreSQL's") };
        c.batch_execute(
            "INSERT INTO follows (follower_id, followed_id, created_at) \
             SELECT u.id, c.id, CAST('2026-05-01' AS timestamp) + c.id * INTERVAL '1 second' \
             FROM (SELECT id FROM users WHERE email LIKE 'new@%') u \
             CROSS JOIN (SELECT DISTINCT creator_id AS id FROM flyers ORDER BY 1 LIMIT 2000) c WHERE u.id <> c.id; \
             DO $$ DECLARE name text; BEGIN \
             FOR name IN SELECT relname FROM pg_stat_user_tables LOOP \
             EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = FALSE)', name); END LOOP; END $$",
        )?;
        Ok(())
    };
    database.with_writer(work).unwrap();
}

/// A short hash of what the data depends on: the generator's source and the migrations.
fn content() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["crates/feed-core/src/seed", "crates/feed-perf/tests/living", "migrations/postgres"] {
        let mut open = vec![root.join(folder)];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { open.push(path) } else { files.push(path) }
            }
        }
    }
    files.retain(|file| {
        !file.ends_with("plans.rs") && !file.ends_with("work.rs") && !file.ends_with("statements.rs")
    });
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read_to_string(file).unwrap().hash(&mut hasher);
    }
    format!("{:08x}", hasher.finish() & 0xffff_ffff)
}
