//! Runs and reverts the migrations, which are embedded in the binary.

use std::time::Duration;

use diesel::backend::Backend;
use diesel::dsl::sql;
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::db::Db;
use crate::engine::Engine;
use crate::error::{Error, Result};

const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// The key of the advisory lock. Any number will do, because keys of `pg_advisory_lock` are local to the database.
const LOCK: i64 = 0x706f_636b_6974;

/// How often a run on SQLite tries, while another process may be migrating, and how long it waits in between.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// Runs the pending migrations and returns their names.
///
/// Any number of processes may call this at once: one of them migrates, and the others wait.
///
/// # Errors
/// [`Error::Internal`] when a migration fails; those before it stay. On PostgreSQL, requirements are checked before the
/// first migration begins.
pub fn run(connection: &mut Db) -> Result<Vec<String>> {
    match connection.engine() {
        Engine::Postgres => {
            diesel::sql_query("SELECT pg_advisory_lock($1)").bind::<BigInt, _>(LOCK).execute(connection)?;
            let done = check_requirements(connection).and_then(|()| run_pending(connection));
            diesel::sql_query("SELECT pg_advisory_unlock($1)").bind::<BigInt, _>(LOCK).execute(connection)?;
            done
        }
        Engine::Sqlite => run_with_retries(connection),
    }
}

/// The requirements of the migrations on a PostgreSQL server.
///
/// Each is a SQL expression. Its value is the reason why the migrations cannot run, or NULL.
const REQUIREMENTS: [&str; 7] = [
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

/// Checks the requirements, if a migration is pending.
///
/// Each migration runs in a transaction of its own. If a later one failed, the database would be left between two
/// versions.
fn check_requirements(connection: &mut Db) -> Result<()> {
    if !is_pending(connection)? {
        return Ok(());
    }
    for requirement in REQUIREMENTS {
        let reason: Option<String> =
            diesel::select(sql::<Nullable<Text>>(requirement)).get_result(connection)?;
        if let Some(reason) = reason {
            return Err(Error::Internal(format!("no migration has begun: {reason}").into()));
        }
    }
    Ok(())
}

/// Runs the pending migrations on SQLite, and tries again if that fails.
///
/// SQLite has no lock that outlasts the transaction of a migration. If several processes migrate at once, the later
/// ones fail at first, and then find that nothing is pending.
fn run_with_retries(connection: &mut Db) -> Result<Vec<String>> {
    for _ in 1..TRIES {
        if let Ok(done) = run_pending(connection) {
            return Ok(done);
        }
        if !is_pending(connection)? {
            return Ok(Vec::new());
        }
        std::thread::sleep(PAUSE);
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

/// Reverts all migrations and returns their names, newest first. This deletes all data.
///
/// # Errors
/// [`Error::Internal`] when a migration cannot be reverted; those that were reverted before it stay reverted.
pub fn revert(connection: &mut Db) -> Result<Vec<String>> {
    let done = match connection {
        Db::Sqlite(c) => c.revert_all_migrations(SQLITE).map(|done| names(&done)),
        Db::Postgres(c) => c.revert_all_migrations(POSTGRES).map(|done| names(&done)),
    };
    done.map_err(Error::Internal)
}

/// The table in which Diesel records the migrations that have run.
mod history {
    diesel::table! {
        __diesel_schema_migrations (version) {
            version -> Text,
        }
    }
}

/// Whether any migration in this binary has not run on the database: two SELECTs.
///
/// # Errors
/// [`Error::Unavailable`] when the database cannot be reached.
pub fn is_pending(connection: &mut Db) -> Result<bool> {
    let done = history(connection)?;
    Ok(carried(connection)?.iter().any(|name| !done.contains(name)))
}

/// Whether the database belongs to another application: it has tables, and no migration of this binary has run on it.
///
/// Tables of PostgreSQL's extensions do not count, nor tables outside the schema that the migrations would write to.
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
    // Read the tables first. A process that migrates meanwhile commits them together with its history.
    if diesel::select(sql::<BigInt>(tables)).get_result::<i64>(connection)? == 0 {
        return Ok(false);
    }
    let done = history(connection)?;
    Ok(!carried(connection)?.iter().any(|name| done.contains(name)))
}

/// The versions that have run; none if Diesel's table does not exist. It takes two SELECTs.
///
/// Diesel's own check would create the table, which a read-only connection may not.
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

/// The versions of the embedded migrations for the connection's engine.
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
