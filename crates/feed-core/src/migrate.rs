//! The migrations of both engines, carried by the binary.

use std::time::Duration;

use diesel::backend::Backend;
use diesel::dsl::sql;
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::db::{Db, Engine};
use crate::error::{Error, Result};

const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// Any number will do: keys of `pg_advisory_lock` are the database's own.
const LOCK: i64 = 0x706f_636b_6974;

/// How often a run on SQLite looks whether another process has done its work, and how long it waits between.
const TURNS: u32 = 100;
const TURN: Duration = Duration::from_millis(50);

/// Runs the migrations that the database lacks and returns their names.
///
/// Any number of processes may do so at once: one works, and the others wait for it.
///
/// # Errors
/// [`Error::Internal`] when one fails; those before it stay. On PostgreSQL, what would make one fail for sure is told
/// before the first begins.
pub fn run(connection: &mut Db) -> Result<Vec<String>> {
    match connection.engine() {
        Engine::Postgres => {
            diesel::sql_query("SELECT pg_advisory_lock($1)").bind::<BigInt, _>(LOCK).execute(connection)?;
            let done = refuse_hopeless(connection).and_then(|()| run_pending(connection));
            diesel::sql_query("SELECT pg_advisory_unlock($1)").bind::<BigInt, _>(LOCK).execute(connection)?;
            done
        }
        Engine::Sqlite => run_in_turns(connection),
    }
}

/// What migrations need of a server, each as a query for the reason why they cannot run, or for NULL.
const NEEDS: [&str; 7] = [
    "CASE current_setting('transaction_read_only') WHEN 'on' THEN 'the server takes no writes' END",
    "CASE WHEN current_schema() IS NULL THEN format('no schema of the search path (%s) is there, or may be used', \
     current_setting('search_path')) END",
    "CASE WHEN NOT has_schema_privilege(current_schema(), 'CREATE') THEN format('%s may create nothing in the schema \
     %s: GRANT CREATE ON SCHEMA %2$I TO %1$I', current_user, current_schema()) END",
    "(SELECT format('the table %s belongs to %s, and %s may not change it', relname, pg_get_userbyid(relowner), \
     current_user) FROM pg_class WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relkind = 'r' \
     AND relname IN ('__diesel_schema_migrations', 'users', 'flyers', 'favorites', 'follows', 'content_versions') \
     AND NOT pg_has_role(relowner, 'USAGE') LIMIT 1)",
    "(SELECT format('the server lacks %s, which come with PostgreSQL (contrib modules)', string_agg(name, ' and ')) \
     FROM unnest(ARRAY['pg_trgm', 'btree_gin']) AS name WHERE name NOT IN (SELECT extname FROM pg_extension) \
     AND name NOT IN (SELECT a.name FROM pg_available_extensions a) HAVING count(*) > 0)",
    "(SELECT format('%s may not make the extension %s: GRANT CREATE ON DATABASE %I TO %1$I, or have a superuser say \
     CREATE EXTENSION %2$I', current_user, name, current_database()) FROM unnest(ARRAY['pg_trgm', 'btree_gin']) AS needed (name) \
     WHERE name NOT IN (SELECT extname FROM pg_extension) AND NOT CAST(current_setting('is_superuser') AS boolean) AND \
     NOT (has_database_privilege(current_database(), 'CREATE') AND EXISTS (SELECT FROM pg_available_extension_versions v \
     WHERE v.name = needed.name AND trusted)) LIMIT 1)",
    "(SELECT format('%s may not use the schema %s of the extension %s: GRANT USAGE ON SCHEMA %2$I TO %1$I', \
     current_user, nspname, extname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace \
     WHERE extname = 'pg_trgm' AND NOT has_schema_privilege(nspname, 'USAGE'))",
];

/// Says what would make a migration fail on a server, where one is to run.
///
/// Each migration is kept or not as a whole, but those before it are kept: an operator would find the database between
/// two versions.
fn refuse_hopeless(connection: &mut Db) -> Result<()> {
    if !is_pending(connection)? {
        return Ok(());
    }
    for need in NEEDS {
        let reason: Option<String> = diesel::select(sql::<Nullable<Text>>(need)).get_result(connection)?;
        if let Some(reason) = reason {
            return Err(Error::Internal(format!("no migration has begun: {reason}").into()));
        }
    }
    Ok(())
}

/// SQLite has no lock that outlasts a migration's own transaction: who comes second fails, and finds that
/// the work is done.
fn run_in_turns(connection: &mut Db) -> Result<Vec<String>> {
    for _ in 1..TURNS {
        if let Ok(done) = run_pending(connection) {
            return Ok(done);
        }
        if !is_pending(connection)? {
            return Ok(Vec::new());
        }
        std::thread::sleep(TURN);
    }
    run_pending(connection)
}

fn run_pending(connection: &mut Db) -> Result<Vec<String>> {
    let done = match connection {
        Db::Sqlite(c) => c.run_pending_migrations(SQLITE).map(|done| names(&done)),
        Db::Postgres(c) => c.run_pending_migrations(POSTGRES).map(|done| names(&done)),
    };
    done.map_err(Error::Internal)
}

/// Reverts every migration and returns their names, newest first: all data is gone.
///
/// # Errors
/// [`Error::Internal`] when one fails; those reverted before it stay so.
pub fn revert(connection: &mut Db) -> Result<Vec<String>> {
    let done = match connection {
        Db::Sqlite(c) => c.revert_all_migrations(SQLITE).map(|done| names(&done)),
        Db::Postgres(c) => c.revert_all_migrations(POSTGRES).map(|done| names(&done)),
    };
    done.map_err(Error::Internal)
}

/// The migrations that have run, as Diesel keeps them.
mod history {
    diesel::table! {
        __diesel_schema_migrations (version) {
            version -> Text,
        }
    }
}

/// Whether the database lacks a migration that this binary carries: two SELECTs.
///
/// # Errors
/// [`Error::Unavailable`] when the database is away.
pub fn is_pending(connection: &mut Db) -> Result<bool> {
    let done = history(connection)?;
    Ok(carried(connection)?.iter().any(|name| !done.contains(name)))
}

/// Whether the database has tables, and none of them is from a migration that this binary carries.
///
/// Those that PostgreSQL's extensions bring, and those outside the schema that we would write to, do not count.
pub(crate) fn is_foreign(connection: &mut Db) -> Result<bool> {
    let tables = match connection {
        Db::Sqlite(_) => {
            "(SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
              AND name <> '__diesel_schema_migrations')"
        }
        Db::Postgres(_) => {
            "(SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
              WHERE nspname = current_schema() AND relkind IN ('r', 'p') AND relname <> '__diesel_schema_migrations' \
              AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid \
              AND deptype = 'e'))"
        }
    };
    // First the tables: who migrates meanwhile writes its history in the same transaction.
    if diesel::select(sql::<BigInt>(tables)).get_result::<i64>(connection)? == 0 {
        return Ok(false);
    }
    let done = history(connection)?;
    Ok(!carried(connection)?.iter().any(|name| done.contains(name)))
}

/// The versions that have run, none where there is no history: two SELECTs.
///
/// Diesel's own check would first make its table, which a reading connection may not.
fn history(connection: &mut Db) -> Result<Vec<String>> {
    use history::__diesel_schema_migrations::{table, version};

    let has_history = match connection {
        Db::Sqlite(_) => "(SELECT count(*) FROM sqlite_schema WHERE name = '__diesel_schema_migrations')",
        Db::Postgres(_) => "(SELECT count(to_regclass('__diesel_schema_migrations')))",
    };
    match diesel::select(sql::<BigInt>(has_history)).get_result(connection)? {
        0_i64 => Ok(Vec::new()),
        _ => Ok(table.select(version).load(connection)?),
    }
}

/// The versions that this binary carries for the connection's engine.
fn carried(connection: &Db) -> Result<Vec<String>> {
    match connection {
        Db::Sqlite(_) => versions::<Sqlite>(&SQLITE),
        Db::Postgres(_) => versions::<Pg>(&POSTGRES),
    }
}

/// The versions of the embedded migrations, oldest first.
fn versions<DB: Backend>(source: &impl MigrationSource<DB>) -> Result<Vec<String>> {
    let migrations = source.migrations().map_err(Error::Internal)?;
    Ok(migrations.iter().map(|m| m.name().version().to_string()).collect())
}

fn names(versions: &[diesel::migration::MigrationVersion<'_>]) -> Vec<String> {
    versions.iter().map(ToString::to_string).collect()
}
