//! The migrations of both engines, carried by the binary.

use diesel::backend::Backend;
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::db::Db;
use crate::error::{Error, Result};

const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// Runs the migrations that the database lacks and returns their names.
///
/// # Errors
/// [`Error::Internal`] when one fails; those before it stay.
pub fn run(connection: &mut Db) -> Result<Vec<String>> {
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

/// Whether the database lacks a migration that this binary carries: one SELECT.
///
/// Diesel's own check would first make its table, which a reading connection may not.
///
/// # Errors
/// [`Error::Unavailable`] when the database is away.
pub fn is_pending(connection: &mut Db) -> Result<bool> {
    use history::__diesel_schema_migrations::{table, version};

    let carried = match connection {
        Db::Sqlite(_) => versions::<Sqlite>(&SQLITE)?,
        Db::Postgres(_) => versions::<Pg>(&POSTGRES)?,
    };
    match table.select(version).load::<String>(connection) {
        Ok(done) => Ok(carried.iter().any(|name| !done.contains(name))),
        // There is no such table: nothing has run yet.
        Err(diesel::result::Error::DatabaseError(DatabaseErrorKind::Unknown, _)) => Ok(true),
        Err(error) => Err(error.into()),
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
