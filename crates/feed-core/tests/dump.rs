//! Backups by `pg_dump` can be restored: a full dump into an empty database, and a data-only dump into a migrated one.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::process::{Command, Stdio};

use diesel::prelude::*;
use diesel::sql_types::Text;
use feed_core::clock::Clock;
use feed_core::db::{Database, Db, Engine};
use feed_core::testing::TestDatabase;
use feed_core::{Result, migrate, seed};
use pretty_assertions::assert_eq;

#[derive(QueryableByName, Debug, PartialEq)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// The names of the tables with user data.
fn tables(c: &mut Db) -> Result<Vec<Line>> {
    let sql = "SELECT CAST(relname AS text) AS line FROM pg_class WHERE relkind = 'r' \
               AND relnamespace = CAST(current_schema() AS regnamespace) \
               AND relname NOT IN ('__diesel_schema_migrations', 'content_versions') ORDER BY relname";
    Ok(diesel::sql_query(sql).load(c)?)
}

/// A digest of each table.
fn content(database: &Database) -> Vec<String> {
    let lines = database.read(|c| {
        let names = tables(c)?;
        let digest = |table: Line| {
            let table = table.line;
            let sql = format!(
                "SELECT '{table} ' || count(*) || ' ' || coalesce(md5(string_agg(CAST(t AS text), ',' \
                 ORDER BY CAST(t AS text))), '') AS line FROM {table} t"
            );
            Ok(diesel::sql_query(sql).get_result::<Line>(c)?.line)
        };
        names.into_iter().map(digest).collect()
    });
    lines.unwrap()
}

/// Copies one database into another as an operator does: `pg_dump … | psql …`.
fn copy(from: &TestDatabase, options: &[&str], to: &TestDatabase, strictness: &str) {
    let mut dump = Command::new("pg_dump")
        .args(options)
        .arg(format!("--dbname={}", from.url))
        .stdout(Stdio::piped())
        .spawn()
        .expect("pg_dump is installed: it is one of PostgreSQL's client programs");
    let psql = Command::new("psql")
        .args(["--quiet", "--no-psqlrc", "--output=/dev/null", strictness, &format!("--dbname={}", to.url)])
        .stdin(dump.stdout.take().unwrap())
        .status();
    assert!(psql.unwrap().success() && dump.wait().unwrap().success());
}

fn filled() -> TestDatabase {
    let test = TestDatabase::new(Engine::Postgres);
    let plan = seed::Plan { users: 60, flyers: 200, seed: 1, follows_max: 20 };
    seed::seed(&test.database, &plan, Clock::default().now(), false, &mut |_| {}).unwrap();
    test
}

const STRICT: &str = "--set=ON_ERROR_STOP=1";

#[test]
fn a_data_only_dump_restores_into_a_migrated_database() {
    let from = filled();
    assert!(content(&from.database).iter().all(|table| !table.contains(" 0 ")), "each table has rows");
    let versions = |test: &TestDatabase| {
        let sum = diesel::dsl::sql::<Text>("CAST(sum(version) AS text) FROM content_versions");
        test.database.read(|c| Ok(diesel::select(sum.clone()).get_result::<String>(c)?)).unwrap()
    };
    // Two tables already have rows from a migration. If the dump includes them, psql reports two errors and goes on.
    let own = ["--exclude-table=__diesel_schema_migrations", "--exclude-table=content_versions"];
    for (excluded, strictness) in [(&own[..], STRICT), (&[], "--set=ON_ERROR_STOP=0")] {
        let to = TestDatabase::new(Engine::Postgres);
        let before = versions(&to);
        copy(&from, &[&["--data-only"], excluded].concat(), &to, strictness);
        assert_eq!(content(&to.database), content(&from.database));
        assert_ne!(
            versions(&to),
            before,
            "a feed that was cached before the restore is not taken for current"
        );
        let added = to.database.write(|c| {
            let name = "INSERT INTO users (email, email_key, username, password_hash, created_at) \
                        VALUES ('late@x.y', 'late@x.y', 'late comer', '', LOCALTIMESTAMP)";
            Ok(diesel::sql_query(name).execute(c)?)
        });
        assert_eq!(added.unwrap(), 1, "ids continue after the restored ones");
    }
}

#[test]
fn a_full_dump_restores_into_an_empty_database() {
    let (from, to) = (filled(), TestDatabase::unmigrated(Engine::Postgres));
    copy(&from, &[], &to, STRICT);
    assert_eq!(content(&to.database), content(&from.database));
    assert!(to.database.with_writer(migrate::run).unwrap().is_empty());
}

/// Otherwise a session with another search path, such as that of `pg_dump`, would use other tables or none.
///
/// `by_index` and `seek` name no table, and the setting would cost more than their call.
#[test]
fn every_function_sets_its_search_path() {
    let test = TestDatabase::new(Engine::Postgres);
    let functions = "SELECT proname || ' ' || coalesce(array_to_string(proconfig, ', '), '') AS line FROM pg_proc \
                     WHERE pronamespace = CAST(current_schema() AS regnamespace) AND proname NOT IN ('by_index', 'seek') AND NOT EXISTS (SELECT FROM pg_depend \
                     WHERE classid = CAST('pg_proc' AS regclass) AND objid = pg_proc.oid AND deptype = 'e')";
    let functions: Vec<Line> = test.database.read(|c| Ok(diesel::sql_query(functions).load(c)?)).unwrap();
    assert!(functions.len() >= 4, "{functions:?}");
    for Line { line } in functions {
        assert!(line.ends_with(" search_path=public, pg_temp"), "{line}");
    }
}
