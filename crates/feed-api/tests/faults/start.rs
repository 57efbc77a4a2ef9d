//! Databases that are none, or not ours: the service does not start, says why, and leaves them as they were.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_types};
use feed_core::db::Engine;
use feed_core::testing::{TestDatabase, with_database};
use feed_test::SECRET;
use pretty_assertions::assert_eq;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::feed_api;
use crate::report::Report;

/// Asserts that no command works with this database, each saying so in one line.
#[track_caller]
fn is_refused(url: &str, told: &str) {
    for arguments in [
        &["serve", "--bind", "127.0.0.1:0"][..],
        &["serve", "--bind", "127.0.0.1:0", "--migrate"],
        &["migrate"],
        &["seed"],
        &["sweep"],
    ] {
        let Output { status, stderr, .. } = feed_api(arguments)
            .env("DATABASE_URL", url)
            .env("FEED_JWT_SECRET", SECRET)
            .env("FEED_TOKEN_EMAIL", "anna@example.org")
            .output()
            .unwrap();
        let line = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), line.lines().count()), (Some(1), 1), "{arguments:?}: {line}");
        let database = if url.starts_with("sqlite") { url } else { "postgres://…" };
        assert!(line.starts_with(&format!("error: cannot open the database {database}: ")), "{line}");
        assert!(line.contains(told) && !line.contains("panicked"), "{arguments:?}: {line}");
    }
}

/// What is in a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

const ELSEWHERE: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
                         INSERT INTO users VALUES (1, 'Anna');";

/// As another program that uses Diesel has it.
const ELSEWHERE_BY_DIESEL: &str = "CREATE TABLE __diesel_schema_migrations
                                       (version VARCHAR(50) PRIMARY KEY, run_on TIMESTAMP);
                                   INSERT INTO __diesel_schema_migrations VALUES ('20200101000000', NULL);";

#[test]
fn a_file_that_is_no_database_of_ours_is_refused_and_left_alone() {
    let mut report = Report::of("file is no database of ours", Engine::Sqlite);
    let (foreign, not_one, broken) = ("another application's tables", "not a database", "malformed");
    let mut noise = vec![0; 100_000];
    StdRng::seed_from_u64(1).fill_bytes(&mut noise);
    let with_header = [b"SQLite format 3\0", &noise[16..]].concat();
    let letter = b"Dear Anna, this is no database. ".repeat(100);
    let cut_off = {
        let test = TestDatabase::new(Engine::Sqlite);
        let path = test.url.strip_prefix("sqlite://").unwrap().to_owned();
        // The last connection takes the log into the file.
        test.database.with_writer(|_| Ok(())).unwrap();
        SqliteConnection::establish(&path).unwrap().batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let whole = std::fs::read(&path).unwrap();
        whole[..whole.len() / 2].to_vec()
    };
    let cases = [
        (Some(noise), "", not_one),
        (Some(with_header), "", not_one),
        (Some(letter), "", not_one),
        (Some(cut_off), "", broken),
        (None, ELSEWHERE, foreign),
        (None, &[ELSEWHERE, ELSEWHERE_BY_DIESEL].concat(), foreign),
        (None, &["PRAGMA journal_mode = WAL;", ELSEWHERE].concat(), foreign),
    ];
    let asked = cases.len();
    for (bytes, sql, told) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
        }
        if !sql.is_empty() {
            SqliteConnection::establish(path.to_str().unwrap()).unwrap().batch_execute(sql).unwrap();
        }
        let before = files(folder.path());
        is_refused(&format!("sqlite://{}", path.display()), told);
        assert!(files(folder.path()) == before, "the file has changed, or others came: {sql}");
    }
    report.tell(asked, 0, format!("{asked} of {asked} refused in a line, every byte as it was"));
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = sql_types::Text)]
    name: String,
}

/// A database beside a test's own, which goes with the value.
struct Neighbour {
    url: String,
    name: String,
    server: String,
}

impl Neighbour {
    fn new(options: &str, sql: &str) -> Self {
        let server = std::env::var("FEED_TEST_POSTGRES").expect("FEED_TEST_POSTGRES names a server");
        let name = format!("test_{:032x}", rand::random::<u128>());
        let url = with_database(&server, &name);
        let mut connection = PgConnection::establish(&server).unwrap();
        connection.batch_execute(&format!("CREATE DATABASE {name} {options}")).unwrap();
        let neighbour = Self { url, name, server };
        neighbour.connect().batch_execute(sql).unwrap();
        neighbour
    }

    fn connect(&self) -> PgConnection {
        PgConnection::establish(&self.url).unwrap()
    }

    /// Its tables and indexes, which are all that a migration would make first.
    fn tables(&self) -> Vec<String> {
        let names = "SELECT relname::text AS name FROM pg_class \
                     WHERE relnamespace = 'public'::regnamespace ORDER BY relname";
        let named: Vec<Named> = diesel::sql_query(names).load(&mut self.connect()).unwrap();
        named.into_iter().map(|Named { name }| name).collect()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let _ = PgConnection::establish(&self.server).map(|mut server| server.batch_execute(&drop));
    }
}

#[test]
fn a_database_on_a_server_that_is_not_ours_is_refused_and_left_alone() {
    let mut report = Report::of("database is not ours", Engine::Postgres);
    let foreign = "another application's tables";
    let cases = [
        ("", ELSEWHERE.to_owned(), foreign),
        ("", [ELSEWHERE, ELSEWHERE_BY_DIESEL].concat(), foreign),
        (
            "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
            "SET application_name = 'nobody'".to_owned(),
            "its encoding is SQL_ASCII, and must be UTF8",
        ),
    ];
    let asked = cases.len();
    for (options, sql, told) in cases {
        let database = Neighbour::new(options, &sql);
        let before = database.tables();
        is_refused(&database.url, told);
        assert_eq!(database.tables(), before);
    }
    // Another schema is another place.
    let elsewhere = "CREATE SCHEMA other; CREATE TABLE other.users (id INTEGER);";
    let own = Neighbour::new("", elsewhere);
    let migrated = feed_api(&["migrate", "--database-url", &own.url]).output().unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    report.tell(asked, 0, format!("{asked} of {asked} refused in a line, no table more or less"));
}
