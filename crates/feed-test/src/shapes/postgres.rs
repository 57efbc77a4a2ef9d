//! Data sets on PostgreSQL: databases of the server that `FEED_TEST_POSTGRES` names.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::dsl::{exists, select, sql};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use feed_core::db::Db;
use feed_core::migrate;
use feed_core::testing::with_database;

use super::fill::fill;
use super::store::{Set, is_outdated, key, timed};

diesel::table! {
    pg_database (datname) {
        datname -> Text,
    }
}

const TABLES: [&str; 7] =
    ["users", "user_texts", "flyers", "flyer_texts", "flyer_images", "favorites", "follows"];

/// The URL of a data set, which is built first if it is missing.
///
/// The data set is not removed while the returned connection, or any connection to the data set, is open. The locks are
/// PostgreSQL's advisory locks, so they hold between processes of different checkouts too, and end with the connection.
pub(super) fn provide(set: Set) -> (String, PgConnection) {
    let server = std::env::var("FEED_TEST_POSTGRES")
        .expect("FEED_TEST_POSTGRES names a server: run the tests by scripts/test or scripts/pg run");
    let mut maintenance = PgConnection::establish(&server).expect("the test server answers");
    let name = database(set);
    loop {
        lock(&mut maintenance, "pg_advisory_lock_shared", &set.key());
        if is_there(&mut maintenance, &name) {
            return (with_database(&server, &name), maintenance);
        }
        lock(&mut maintenance, "pg_advisory_unlock_shared", &set.key());
        lock(&mut maintenance, "pg_advisory_lock", &set.key());
        // Another process may have built it meanwhile.
        if !is_there(&mut maintenance, &name) {
            timed(&format!("built PostgreSQL's {} flyers", set.size), || {
                build(&mut maintenance, &server, set);
            });
        }
        lock(&mut maintenance, "pg_advisory_unlock", &set.key());
    }
}

fn database(set: Set) -> String {
    format!("perf_{}", set.name())
}

fn is_there(maintenance: &mut PgConnection, name: &str) -> bool {
    select(exists(pg_database::table.find(name))).get_result(maintenance).expect("the test server answers")
}

fn lock(maintenance: &mut PgConnection, function: &str, key: &str) {
    maintenance
        .batch_execute(&format!("SELECT {function}(hashtextextended('{key}', 0))"))
        .expect("the advisory lock is granted");
}

/// Removes the data sets of older generators that nobody is connected to.
fn remove_outdated(maintenance: &mut PgConnection) {
    let databases: Vec<String> = pg_database::table
        .filter(pg_database::datname.like("perf\\_%"))
        .select(sql::<Text>("CAST(datname AS TEXT)"))
        .load(maintenance)
        .expect("the test server lists its databases");
    for database in databases {
        let name = database.strip_prefix("perf_").unwrap_or(&database);
        let key = key(name);
        let is_free = format!("pg_try_advisory_lock(hashtextextended('{key}', 0))");
        if is_outdated(name)
            && select(sql::<Bool>(&is_free)).get_result(maintenance).expect("the server answers")
        {
            // PostgreSQL refuses to drop a database while somebody is connected to it.
            let _ = maintenance.batch_execute(&format!("DROP DATABASE IF EXISTS {database}"));
            lock(maintenance, "pg_advisory_unlock", &key);
        }
    }
}

/// Builds both databases of a size, with and without statistics. They get their names once they are complete.
fn build(maintenance: &mut PgConnection, server: &str, set: Set) {
    remove_outdated(maintenance);
    let names = set.both().map(database);
    let building = names.each_ref().map(|name| format!("{name}_building"));
    let [plain, analyzed] = &building;
    let mut run =
        |statement: String| maintenance.batch_execute(&statement).expect("the server runs the statement");
    for name in names.iter().chain(&building) {
        run(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
    }
    run(format!("CREATE DATABASE {plain}"));

    let mut connection = connect(server, plain);
    connection
        .batch_execute(
            "SET synchronous_commit = off; SET timezone = 'UTC'; \
             SET work_mem = '256MB'; SET maintenance_work_mem = '256MB'; SET jit = off",
        )
        .expect("the settings are set");
    let mut connection = Db::Postgres(connection);
    migrate::run(&mut connection).expect("migrations run");
    timed("  rows and indexes", || fill(&mut connection, set.size).expect("the rows are written"));
    timed("  VACUUM", || finish(&mut connection));
    drop(connection);

    timed("  copy and statistics", || {
        run(format!("CREATE DATABASE {analyzed} TEMPLATE {plain} STRATEGY file_copy"));
        let tables = TABLES.join(", ");
        connect(server, analyzed).batch_execute(&format!("ANALYZE {tables}")).expect("ANALYZE runs");
    });
    for (name, building) in names.iter().zip(&building) {
        run(format!("ALTER DATABASE {building} RENAME TO {name}"));
    }
}

/// Brings the tables into the state that they have after some time of use, but without statistics: sequences after the
/// last id, rows vacuumed. Turns autovacuum off, which would collect statistics.
fn finish(connection: &mut Db) {
    for table in TABLES {
        connection
            .batch_execute(&format!("ALTER TABLE {table} SET (autovacuum_enabled = FALSE)"))
            .expect("autovacuum is turned off");
    }
    for table in ["users", "flyers"] {
        connection
            .batch_execute(&format!(
                "SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
            ))
            .expect("the sequences are set");
    }
    // A connection that another test is just opening can keep VACUUM from marking pages as all-visible. Index-only
    // scans would then read the table too, so run VACUUM again.
    let is_visible = sql::<Bool>(
        "bool_and(relallvisible = relpages) FROM pg_class WHERE relkind = 'r' \
         AND relnamespace = CAST('public' AS regnamespace)",
    );
    for _ in 0..100 {
        connection.batch_execute(&format!("VACUUM (FREEZE) {}", TABLES.join(", "))).expect("VACUUM runs");
        if select(is_visible.clone()).get_result(connection).expect("the catalogue answers") {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("VACUUM could not mark all pages as all-visible: is a transaction open in the database?");
}

fn connect(server: &str, name: &str) -> PgConnection {
    PgConnection::establish(&with_database(server, name)).expect("the database opens")
}
